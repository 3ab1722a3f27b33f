import pytest

from tests.support import admission_mutants, hit_mutants
from tests.support.mutants import Mutant


def _ids(mutant: Mutant) -> str:
    return f"{mutant.was.strip()[:40]} -> {mutant.becomes.strip()[:40]}"


@pytest.mark.parametrize("mutant", admission_mutants.MUTANTS, ids=_ids)
def test_every_mutant_still_changes_a_script(mutant: Mutant) -> None:
    """Else `make mutants-admission` would count one as surviving that is none."""
    assert admission_mutants.where(mutant) != []


@pytest.mark.parametrize("mutant", hit_mutants.MUTANTS, ids=_ids)
def test_every_mutant_still_changes_the_script_of_the_rate_limit_service(mutant: Mutant) -> None:
    assert hit_mutants.where(mutant) != []
