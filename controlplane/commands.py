"""What `python -m controlplane` does once and then ends."""

import json
import sys
from datetime import UTC, datetime

from controlplane import database
from controlplane.accounts.passwords import Passwords
from controlplane.accounts.service import bootstrap_admin as make_first_admin
from controlplane.audit.rules import Attempt
from controlplane.audit.sealing import report, verify
from controlplane.budgets.counters_valkey import open_counters
from controlplane.budgets.reconcile import compare, table
from controlplane.database_roles import let_control_plane_work, let_data_plane_read
from controlplane.egress.egress_http import open_egress
from controlplane.reconciliation.counters_http import HttpCountersReader
from controlplane.reconciliation.rules import table as engines_table
from controlplane.reconciliation.service import EngineReconciler
from controlplane.settings import DatabaseSettings, MigrateSettings, ReconcileSettings, VerifyAuditSettings
from controlplane.unit_of_work import unit_of_work
from ias import logs

log = logs.get(__name__)


async def migrate(settings: MigrateSettings) -> None:
    """Bring the database to this version's schema, and its roles to what they may do. Raises database.DatabaseIsNewer."""
    engine = database.create_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        log.info("database is migrated", revision=await database.migrate(engine))
        if password := settings.control_plane_password.get_secret_value():
            await let_control_plane_work(engine, password)
        if password := settings.data_plane_password.get_secret_value():
            await let_data_plane_read(engine, password)
    finally:
        await engine.dispose()


async def reconcile(settings: ReconcileSettings) -> int:
    """Print what admission counts of every budget, and what engines count, beside the ledger's sums; 1 when they differ. Raises StoreUnavailable."""
    engine = database.create_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with open_counters(settings.valkey_url.get_secret_value()) as counters:
            compared = [comparison async for comparison in compare(engine, counters, datetime.now(UTC))]
        with open_egress(settings.egress_allowed_networks) as egress:
            reader = HttpCountersReader(egress)
            engines = await EngineReconciler(engine, reader, lambda: datetime.now(UTC), settings.reconcile_tolerance).step()
    finally:
        await engine.dispose()
    sys.stdout.write(f"{table(compared)}\n\n{engines_table(engines)}\n")
    differ = any(comparison.difference for comparison in compared) or any(one.is_alarm(settings.reconcile_tolerance) for one in engines)
    return 1 if differ else 0


async def verify_audit(settings: VerifyAuditSettings) -> int:
    """Print what of the audit log was checked, and the first batch that is not what was sealed; 1 when there is one."""
    engine = database.create_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        verified = await verify(engine, settings.expected_seals)
    finally:
        await engine.dispose()
    sys.stdout.write(f"{report(verified)}\n")
    return 1 if verified.reason else 0


async def bootstrap_admin(settings: DatabaseSettings) -> None:
    """Make the first System Admin and print the only copy of the password, as one JSON line; `{}` when there is one already."""
    engine = database.create_engine(settings.database_url.get_secret_value(), pool_size=1)
    passwords = Passwords()
    try:
        async with unit_of_work(engine, Attempt("admin.bootstrap")) as uow:
            made = await make_first_admin(uow, passwords)
    finally:
        passwords.close()
        await engine.dispose()
    json.dump({"username": made[0], "password": made[1]} if made else {}, sys.stdout)
    sys.stdout.write("\n")
