"""Numbers of the advisory locks in the database: each of something that is done one at a time, in all processes together.

They mean nothing to PostgreSQL (its documentation, 13.3.5), so two things of one number would wait for each other. A process of the
version before takes them too: what is here keeps its number. Beside them is `ias.gateway_views.CHANGE_LOCK`, which extauth's tests take as well.
"""

MIGRATION = 0x1A5C4A47
"""Who brings the schema to a version."""
AUDIT_WRITERS = 0x1A5C4A48
"""Who writes audit rows holds it shared (migration 0007), who asks which rows are final holds it alone."""
GATEWAY = 0x1A5C4A49
"""Who changes what the gateway serves."""
AUDIT_SEALERS = 0x1A5C4A4A
"""Who seals the audit log."""
BOOTSTRAP = 0x1A5C4A4B
"""Who makes the first System Admin."""
