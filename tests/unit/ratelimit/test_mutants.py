import pytest

from tests.support.admission_mutants import MUTANTS, Mutant, where


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.was.strip()[:40]} -> {mutant.becomes.strip()[:40]}")
def test_every_mutant_still_changes_a_script(mutant: Mutant) -> None:
    """Else `make mutants-admission` would count one as surviving that is none."""
    assert where(mutant) != []
