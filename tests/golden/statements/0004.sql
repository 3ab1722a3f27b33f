DELETE FROM budgets WHERE budgets.org_id = $1::UUID AND budgets.subject_id = $2::UUID AND budgets.period = $3::VARCHAR
;
DELETE FROM budgets WHERE budgets.subject_id = $1::UUID AND budgets.period = $2::VARCHAR
;
DELETE FROM publication_tenants WHERE publication_tenants.publication_id = $1::UUID
;
DELETE FROM security_events WHERE security_events.minute < $1::TIMESTAMP WITH TIME ZONE
;
INSERT INTO audit_log (id, timestamp, org_id, user_id_performing_action, action_type, payload, outcome, request_id, client_address) VALUES ($1::UUID, $2::TIMESTAMP WITH TIME ZONE, $3::UUID, $4::UUID, $5::VARCHAR, $6::JSONB, $7::VARCHAR, $8::VARCHAR, $9::VARCHAR)
;
INSERT INTO backends (id, name, base_url, kind, health, health_reason, checked_at) VALUES ($1::UUID, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::TIMESTAMP WITH TIME ZONE)
;
INSERT INTO backends (id, name, base_url, kind, health, health_reason, models, checked_at) VALUES ($1::UUID, $2::VARCHAR, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::TEXT[], $8::TIMESTAMP WITH TIME ZONE)
;
INSERT INTO budgets (subject_id, period, scope, org_id, user_id, tokens, ceiling_tokens, extra_tokens, extra_until, thresholds, dry_run) VALUES ($1::UUID, $2::VARCHAR, $3::VARCHAR, $4::UUID, $5::UUID, $6::BIGINT, $7::BIGINT, $8::BIGINT, $9::TIMESTAMP WITH TIME ZONE, $10::INTEGER[], $11::BOOLEAN) ON CONFLICT (subject_id, period) DO UPDATE SET subject_id = $12::UUID, period = $13::VARCHAR, scope = $14::VARCHAR, org_id = $15::UUID, user_id = $16::UUID, tokens = $17::BIGINT, ceiling_tokens = $18::BIGINT, extra_tokens = $19::BIGINT, extra_until = $20::TIMESTAMP WITH TIME ZONE, thresholds = $21::INTEGER[], dry_run = $22::BOOLEAN, version = nextval('budget_versions'), updated_at = now()
;
INSERT INTO change_log (kind, id) VALUES ($1::VARCHAR, $2::VARCHAR)
;
INSERT INTO change_log (kind, id) VALUES ($1::VARCHAR, $2::VARCHAR), ($3::VARCHAR, $4::VARCHAR)
;
INSERT INTO change_log (kind, id) VALUES ($1::VARCHAR, $2::VARCHAR), ($3::VARCHAR, $4::VARCHAR), ($5::VARCHAR, $6::VARCHAR)
;
INSERT INTO credentials (credential_id, key_id, digest, pepper_version, hint) VALUES ($1::VARCHAR, $2::UUID, $3::BYTEA, $4::INTEGER, $5::VARCHAR)
;
INSERT INTO keys (id, org_id, user_id, name, expires_at, allowed_models, publication_id, created_by) VALUES ($1::UUID, $2::UUID, $3::UUID, $4::VARCHAR, $5::TIMESTAMP WITH TIME ZONE, $6::TEXT[], $7::UUID, $8::UUID)
;
INSERT INTO keys (id, org_id, user_id, name, expires_at, allowed_models, requests_per_minute, requests_per_hour, tokens_per_minute, tokens_per_hour, burst_limit, concurrent_requests, dry_run, publication_id, created_by) VALUES ($1::UUID, $2::UUID, $3::UUID, $4::VARCHAR, $5::TIMESTAMP WITH TIME ZONE, $6::TEXT[], $7::INTEGER, $8::INTEGER, $9::BIGINT, $10::BIGINT, $11::INTEGER, $12::INTEGER, $13::TEXT[], $14::UUID, $15::UUID)
;
INSERT INTO orgs (id, slug, name) VALUES ($1::UUID, $2::VARCHAR, $3::VARCHAR) RETURNING orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at
;
INSERT INTO publication_tenants (publication_id, org_id) VALUES ($1::UUID, $2::UUID)
;
INSERT INTO publication_tenants (publication_id, org_id) VALUES ($1::UUID, $2::UUID), ($3::UUID, $4::UUID)
;
INSERT INTO publications (id, model, org_id, model_type, public_hostname, external_path, upstream_model, backend_id, requests_per_minute, requests_per_hour, tokens_per_minute, tokens_per_hour, burst_limit, concurrent_requests, dry_run, admission_mode, context_tokens, output_cap, continuous_usage, status) VALUES ($1::UUID, $2::VARCHAR, $3::UUID, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR, $7::VARCHAR, $8::UUID, $9::INTEGER, $10::INTEGER, $11::BIGINT, $12::BIGINT, $13::INTEGER, $14::INTEGER, $15::TEXT[], $16::VARCHAR, $17::BIGINT, $18::BIGINT, $19::BOOLEAN, $20::VARCHAR)
;
INSERT INTO security_events (id, minute, status, code, org_id, credential, address, overflow, requests) VALUES ($1::UUID, $2::TIMESTAMP WITH TIME ZONE, $3::INTEGER, $4::VARCHAR, $5::UUID, $6::VARCHAR, $7::VARCHAR, $8::BOOLEAN, $9::BIGINT) ON CONFLICT DO NOTHING
;
INSERT INTO security_events (id, minute, status, code, org_id, credential, address, overflow, requests) VALUES ($1::UUID, $2::TIMESTAMP WITH TIME ZONE, $3::INTEGER, $4::VARCHAR, $5::UUID, $6::VARCHAR, $7::VARCHAR, $8::BOOLEAN, $9::BIGINT), ($10::UUID, $11::TIMESTAMP WITH TIME ZONE, $12::INTEGER, $13::VARCHAR, $14::UUID, $15::VARCHAR, $16::VARCHAR, $17::BOOLEAN, $18::BIGINT) ON CONFLICT DO NOTHING
;
INSERT INTO security_events (id, minute, status, code, org_id, credential, address, overflow, requests) VALUES ($1::UUID, $2::TIMESTAMP WITH TIME ZONE, $3::INTEGER, $4::VARCHAR, $5::UUID, $6::VARCHAR, $7::VARCHAR, $8::BOOLEAN, $9::BIGINT), ($10::UUID, $11::TIMESTAMP WITH TIME ZONE, $12::INTEGER, $13::VARCHAR, $14::UUID, $15::VARCHAR, $16::VARCHAR, $17::BOOLEAN, $18::BIGINT), ($19::UUID, $20::TIMESTAMP WITH TIME ZONE, $21::INTEGER, $22::VARCHAR, $23::UUID, $24::VARCHAR, $25::VARCHAR, $26::BOOLEAN, $27::BIGINT) ON CONFLICT DO NOTHING
;
INSERT INTO security_events (id, minute, status, code, org_id, credential, address, overflow, requests) VALUES ($1::UUID, $2::TIMESTAMP WITH TIME ZONE, $3::INTEGER, $4::VARCHAR, $5::UUID, $6::VARCHAR, $7::VARCHAR, $8::BOOLEAN, $9::BIGINT), ($10::UUID, $11::TIMESTAMP WITH TIME ZONE, $12::INTEGER, $13::VARCHAR, $14::UUID, $15::VARCHAR, $16::VARCHAR, $17::BOOLEAN, $18::BIGINT), ($19::UUID, $20::TIMESTAMP WITH TIME ZONE, $21::INTEGER, $22::VARCHAR, $23::UUID, $24::VARCHAR, $25::VARCHAR, $26::BOOLEAN, $27::BIGINT), ($28::UUID, $29::TIMESTAMP WITH TIME ZONE, $30::INTEGER, $31::VARCHAR, $32::UUID, $33::VARCHAR, $34::VARCHAR, $35::BOOLEAN, $36::BIGINT), ($37::UUID, $38::TIMESTAMP WITH TIME ZONE, $39::INTEGER, $40::VARCHAR, $41::UUID, $42::VARCHAR, $43::VARCHAR, $44::BOOLEAN, $45::BIGINT) ON CONFLICT DO NOTHING
;
INSERT INTO usage_days
SELECT date_trunc('day', admitted_at, 'UTC'), org_id, user_id, key_id, publication_id, model, endpoint, outcome,
  count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens),
  histogram_sum(array_fill(0::bigint, ARRAY[place]) || 1::bigint || array_fill(0::bigint, ARRAY[12 - place]))
FROM (
  SELECT *, width_bucket(duration_ms - 1, ARRAY[100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000]::bigint[]) AS place
  FROM ledger) AS placed
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
;
INSERT INTO usage_quarter_hours
SELECT date_bin('15 minutes', admitted_at, timestamptz '2001-01-01Z'), org_id, user_id, key_id, publication_id, model, endpoint, outcome,
  count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens),
  histogram_sum(array_fill(0::bigint, ARRAY[place]) || 1::bigint || array_fill(0::bigint, ARRAY[12 - place]))
FROM (
  SELECT *, width_bucket(duration_ms - 1, ARRAY[100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000]::bigint[]) AS place
  FROM ledger) AS placed
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
;
INSERT INTO users (id, org_id, username, email, role, password_hash) VALUES ($1::UUID, $2::UUID, $3::VARCHAR, $4::VARCHAR, $5::VARCHAR, $6::VARCHAR) RETURNING users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at
;
INSERT INTO users (id, org_id, username, role) VALUES ($1::UUID, $2::UUID, $3::VARCHAR, $4::VARCHAR) ON CONFLICT DO NOTHING
;
SELECT 1 FROM audit_log t WHERE t::text LIKE $1
;
SELECT 1 FROM change_log t WHERE t::text LIKE $1
;
SELECT 1 FROM credentials t WHERE t::text LIKE $1
;
SELECT 1 FROM keys t WHERE t::text LIKE $1
;
SELECT EXISTS (SELECT * 
FROM publications 
WHERE publications.backend_id = $1::UUID AND publications.status != $2::VARCHAR) AS anon_1
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $6::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $7::UUID AND ledger.admitted_at >= $8::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $9::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $10::UUID AND usage_quarter_hours.period_start >= $11::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER UNION ALL SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $14::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $15::UUID AND ledger.admitted_at >= $16::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $17::TIMESTAMP WITH TIME ZONE) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $18::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $6::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $7::UUID AND ledger.admitted_at >= $8::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $9::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $10::UUID AND usage_quarter_hours.period_start >= $11::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.model AS model, usage_days.user_id AS user_id, usage_days.key_id AS key_id, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $14::UUID AND usage_days.period_start >= $15::TIMESTAMP WITH TIME ZONE AND requests != $16::INTEGER) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $17::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $6::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $7::UUID AND ledger.admitted_at >= $8::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $9::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $10::UUID AND usage_quarter_hours.period_start >= $11::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.model AS model, usage_days.user_id AS user_id, usage_days.key_id AS key_id, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $14::UUID AND usage_days.period_start >= $15::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $16::TIMESTAMP WITH TIME ZONE AND requests != $17::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $18::UUID AND usage_quarter_hours.period_start >= $19::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $20::TIMESTAMP WITH TIME ZONE AND requests != $21::INTEGER UNION ALL SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $22::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $23::UUID AND ledger.admitted_at >= $24::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $25::TIMESTAMP WITH TIME ZONE) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $26::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $6::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $7::UUID AND ledger.admitted_at >= $8::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $9::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $10::UUID AND usage_quarter_hours.period_start >= $11::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.model AS model, usage_days.user_id AS user_id, usage_days.key_id AS key_id, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $14::UUID AND usage_days.period_start >= $15::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $16::TIMESTAMP WITH TIME ZONE AND requests != $17::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $18::UUID AND usage_quarter_hours.period_start >= $19::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $20::TIMESTAMP WITH TIME ZONE AND requests != $21::INTEGER) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $22::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $6::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $7::UUID AND ledger.admitted_at >= $8::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $9::TIMESTAMP WITH TIME ZONE) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $10::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_days.period_start AS at, usage_days.model AS model, usage_days.user_id AS user_id, usage_days.key_id AS key_id, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $6::UUID AND usage_days.period_start >= $7::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $8::TIMESTAMP WITH TIME ZONE AND requests != $9::INTEGER) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $10::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $6::UUID AND usage_quarter_hours.period_start >= $7::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $8::TIMESTAMP WITH TIME ZONE AND requests != $9::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.model AS model, usage_days.user_id AS user_id, usage_days.key_id AS key_id, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $10::UUID AND usage_days.period_start >= $11::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $14::UUID AND usage_quarter_hours.period_start >= $15::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $16::TIMESTAMP WITH TIME ZONE AND requests != $17::INTEGER UNION ALL SELECT ledger.admitted_at AS at, ledger.model AS model, ledger.user_id AS user_id, ledger.key_id AS key_id, ledger.outcome AS outcome, $18::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $19::UUID AND ledger.admitted_at >= $20::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $21::TIMESTAMP WITH TIME ZONE) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $22::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.model, anon_1.user_id, anon_1.key_id, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.model AS model, anon_2.user_id AS user_id, anon_2.key_id AS key_id, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.model AS model, anon_3.user_id AS user_id, anon_3.key_id AS key_id, anon_3.outcome AS outcome, grouping(anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $6::UUID AND usage_quarter_hours.period_start >= $7::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $8::TIMESTAMP WITH TIME ZONE AND requests != $9::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.model AS model, usage_days.user_id AS user_id, usage_days.key_id AS key_id, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $10::UUID AND usage_days.period_start >= $11::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.model AS model, usage_quarter_hours.user_id AS user_id, usage_quarter_hours.key_id AS key_id, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $14::UUID AND usage_quarter_hours.period_start >= $15::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $16::TIMESTAMP WITH TIME ZONE AND requests != $17::INTEGER) AS anon_3 GROUP BY GROUPING SETS((), anon_3.model, anon_3.user_id, anon_3.key_id, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $18::INTEGER ORDER BY anon_1.rank
;
SELECT anon_1.org_id, anon_1.model, anon_1.outcome, anon_1.bits, anon_1.requests, anon_1.input_tokens, anon_1.output_tokens, anon_1.cached_input_tokens, anon_1.reasoning_tokens, anon_1.rank 
FROM (SELECT anon_2.org_id AS org_id, anon_2.model AS model, anon_2.outcome AS outcome, anon_2.bits AS bits, anon_2.requests AS requests, anon_2.input_tokens AS input_tokens, anon_2.output_tokens AS output_tokens, anon_2.cached_input_tokens AS cached_input_tokens, anon_2.reasoning_tokens AS reasoning_tokens, row_number() OVER (PARTITION BY anon_2.bits ORDER BY anon_2.input_tokens + anon_2.output_tokens DESC, anon_2.requests DESC) AS rank 
FROM (SELECT anon_3.org_id AS org_id, anon_3.model AS model, anon_3.outcome AS outcome, grouping(anon_3.org_id, anon_3.model, anon_3.outcome) AS bits, coalesce(sum(anon_3.requests), $1::INTEGER) AS requests, coalesce(sum(anon_3.input_tokens), $2::INTEGER) AS input_tokens, coalesce(sum(anon_3.output_tokens), $3::INTEGER) AS output_tokens, coalesce(sum(anon_3.cached_input_tokens), $4::INTEGER) AS cached_input_tokens, coalesce(sum(anon_3.reasoning_tokens), $5::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, ledger.org_id AS org_id, ledger.model AS model, ledger.outcome AS outcome, $6::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.admitted_at >= $7::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $8::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.org_id AS org_id, usage_quarter_hours.model AS model, usage_quarter_hours.outcome AS outcome, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.period_start >= $9::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $10::TIMESTAMP WITH TIME ZONE AND requests != $11::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.org_id AS org_id, usage_days.model AS model, usage_days.outcome AS outcome, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.period_start >= $12::TIMESTAMP WITH TIME ZONE AND requests != $13::INTEGER) AS anon_3 GROUP BY GROUPING SETS((), anon_3.org_id, anon_3.model, anon_3.outcome)) AS anon_2) AS anon_1 
WHERE anon_1.rank <= $14::INTEGER ORDER BY anon_1.rank
;
SELECT audit_log.id, audit_log.timestamp, audit_log.org_id, audit_log.user_id_performing_action, audit_log.action_type, audit_log.payload, audit_log.outcome, audit_log.request_id, audit_log.client_address 
FROM audit_log 
WHERE audit_log.org_id = $1::UUID ORDER BY audit_log.id DESC 
 LIMIT $2::INTEGER
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR AND (backends.name = $2::VARCHAR OR backends.id = $3::UUID)
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR AND (backends.name = $2::VARCHAR OR backends.id = $3::UUID) FOR SHARE
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR AND (backends.name = $2::VARCHAR OR backends.id IS NULL)
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR AND (backends.name = $2::VARCHAR OR backends.id IS NULL) FOR SHARE
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR AND (backends.name = $2::VARCHAR OR backends.id IS NULL) FOR UPDATE
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR AND backends.models @> $2::TEXT[] FOR SHARE
;
SELECT backends.id, backends.name, backends.base_url, backends.kind, backends.health, backends.health_reason, backends.models, backends.checked_at, backends.status, backends.created_at, backends.updated_at 
FROM backends 
WHERE backends.status != $1::VARCHAR ORDER BY backends.name
;
SELECT budgets.subject_id, budgets.period, budgets.scope, budgets.org_id, budgets.user_id, budgets.tokens, budgets.ceiling_tokens, budgets.extra_tokens, budgets.extra_until, budgets.thresholds, budgets.dry_run, budgets.version, budgets.created_at, budgets.updated_at 
FROM budgets 
WHERE budgets.org_id = $1::UUID AND budgets.subject_id = $2::UUID
;
SELECT budgets.subject_id, budgets.period, budgets.scope, budgets.org_id, budgets.user_id, budgets.tokens, budgets.ceiling_tokens, budgets.extra_tokens, budgets.extra_until, budgets.thresholds, budgets.dry_run, budgets.version, budgets.created_at, budgets.updated_at 
FROM budgets 
WHERE budgets.org_id = $1::UUID AND budgets.subject_id = $2::UUID AND budgets.period = $3::VARCHAR
;
SELECT budgets.subject_id, budgets.period, budgets.scope, budgets.org_id, budgets.user_id, budgets.tokens, budgets.ceiling_tokens, budgets.extra_tokens, budgets.extra_until, budgets.thresholds, budgets.dry_run, budgets.version, budgets.created_at, budgets.updated_at 
FROM budgets 
WHERE budgets.subject_id = $1::UUID AND budgets.period = $2::VARCHAR
;
SELECT count(*) AS count_1 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.user_id = $2::UUID AND keys.status != $3::VARCHAR
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, $8::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.admitted_at >= $9::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $10::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.period_start >= $11::TIMESTAMP WITH TIME ZONE AND requests != $12::INTEGER) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, $8::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $9::UUID AND ledger.admitted_at >= $10::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $11::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $12::UUID AND usage_quarter_hours.period_start >= $13::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $14::TIMESTAMP WITH TIME ZONE AND requests != $15::INTEGER UNION ALL SELECT ledger.admitted_at AS at, $16::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $17::UUID AND ledger.admitted_at >= $18::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $19::TIMESTAMP WITH TIME ZONE) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, $8::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $9::UUID AND ledger.admitted_at >= $10::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $11::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $12::UUID AND usage_quarter_hours.period_start >= $13::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $14::TIMESTAMP WITH TIME ZONE AND requests != $15::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $16::UUID AND usage_days.period_start >= $17::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $18::TIMESTAMP WITH TIME ZONE AND requests != $19::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $20::UUID AND usage_quarter_hours.period_start >= $21::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $22::TIMESTAMP WITH TIME ZONE AND requests != $23::INTEGER UNION ALL SELECT ledger.admitted_at AS at, $24::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $25::UUID AND ledger.admitted_at >= $26::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $27::TIMESTAMP WITH TIME ZONE) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, $8::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $9::UUID AND ledger.admitted_at >= $10::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $11::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $12::UUID AND usage_quarter_hours.period_start >= $13::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $14::TIMESTAMP WITH TIME ZONE AND requests != $15::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $16::UUID AND usage_days.period_start >= $17::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $18::TIMESTAMP WITH TIME ZONE AND requests != $19::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $20::UUID AND usage_quarter_hours.period_start >= $21::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $22::TIMESTAMP WITH TIME ZONE AND requests != $23::INTEGER) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, $8::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $9::UUID AND ledger.admitted_at >= $10::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $11::TIMESTAMP WITH TIME ZONE UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $12::UUID AND usage_quarter_hours.period_start >= $13::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $14::TIMESTAMP WITH TIME ZONE AND requests != $15::INTEGER) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT ledger.admitted_at AS at, $8::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $9::UUID AND ledger.admitted_at >= $10::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $11::TIMESTAMP WITH TIME ZONE) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_days.period_start AS at, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $8::UUID AND usage_days.period_start >= $9::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $10::TIMESTAMP WITH TIME ZONE AND requests != $11::INTEGER) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $8::UUID AND usage_quarter_hours.period_start >= $9::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $10::TIMESTAMP WITH TIME ZONE AND requests != $11::INTEGER UNION ALL SELECT ledger.admitted_at AS at, $12::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $13::UUID AND ledger.admitted_at >= $14::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $15::TIMESTAMP WITH TIME ZONE) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $8::UUID AND usage_quarter_hours.period_start >= $9::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $10::TIMESTAMP WITH TIME ZONE AND requests != $11::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $12::UUID AND usage_days.period_start >= $13::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $14::TIMESTAMP WITH TIME ZONE AND requests != $15::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $16::UUID AND usage_quarter_hours.period_start >= $17::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $18::TIMESTAMP WITH TIME ZONE AND requests != $19::INTEGER UNION ALL SELECT ledger.admitted_at AS at, $20::INTEGER AS requests, ledger.input_tokens AS input_tokens, ledger.output_tokens AS output_tokens, ledger.cached_input_tokens AS cached_input_tokens, ledger.reasoning_tokens AS reasoning_tokens 
FROM ledger 
WHERE ledger.org_id = $21::UUID AND ledger.admitted_at >= $22::TIMESTAMP WITH TIME ZONE AND ledger.admitted_at < $23::TIMESTAMP WITH TIME ZONE) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $8::UUID AND usage_quarter_hours.period_start >= $9::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $10::TIMESTAMP WITH TIME ZONE AND requests != $11::INTEGER UNION ALL SELECT usage_days.period_start AS at, usage_days.requests AS requests, usage_days.input_tokens AS input_tokens, usage_days.output_tokens AS output_tokens, usage_days.cached_input_tokens AS cached_input_tokens, usage_days.reasoning_tokens AS reasoning_tokens 
FROM usage_days 
WHERE usage_days.org_id = $12::UUID AND usage_days.period_start >= $13::TIMESTAMP WITH TIME ZONE AND usage_days.period_start < $14::TIMESTAMP WITH TIME ZONE AND requests != $15::INTEGER UNION ALL SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $16::UUID AND usage_quarter_hours.period_start >= $17::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $18::TIMESTAMP WITH TIME ZONE AND requests != $19::INTEGER) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) AS start, coalesce(sum(anon_1.requests), $3::INTEGER) AS requests, coalesce(sum(anon_1.input_tokens), $4::INTEGER) AS input_tokens, coalesce(sum(anon_1.output_tokens), $5::INTEGER) AS output_tokens, coalesce(sum(anon_1.cached_input_tokens), $6::INTEGER) AS cached_input_tokens, coalesce(sum(anon_1.reasoning_tokens), $7::INTEGER) AS reasoning_tokens 
FROM (SELECT usage_quarter_hours.period_start AS at, usage_quarter_hours.requests AS requests, usage_quarter_hours.input_tokens AS input_tokens, usage_quarter_hours.output_tokens AS output_tokens, usage_quarter_hours.cached_input_tokens AS cached_input_tokens, usage_quarter_hours.reasoning_tokens AS reasoning_tokens 
FROM usage_quarter_hours 
WHERE usage_quarter_hours.org_id = $8::UUID AND usage_quarter_hours.period_start >= $9::TIMESTAMP WITH TIME ZONE AND usage_quarter_hours.period_start < $10::TIMESTAMP WITH TIME ZONE AND requests != $11::INTEGER) AS anon_1 GROUP BY date_bin($1::INTERVAL, anon_1.at, to_timestamp($2::INTEGER)) ORDER BY start
;
SELECT gateway_spent_v1(b.org, b.scope, b.start, b.stop) FROM unnest($1::UUID[], $2::TEXT[], $3::TIMESTAMP WITH TIME ZONE[], $4::TIMESTAMP WITH TIME ZONE[]) WITH ORDINALITY AS b (org, scope, start, stop, place) ORDER BY b.place
;
SELECT keys.id 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.user_id = $2::UUID AND keys.status != $3::VARCHAR
;
SELECT keys.id 
FROM keys 
WHERE keys.publication_id = $1::UUID AND keys.status != $2::VARCHAR
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID, $3::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID, $3::UUID, $4::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID, $3::UUID, $4::UUID, $5::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID, $3::UUID, $4::UUID, $5::UUID, $6::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID, $3::UUID, $4::UUID, $5::UUID, $6::UUID, $7::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID, $3::UUID, $4::UUID, $5::UUID, $6::UUID, $7::UUID, $8::UUID)
;
SELECT keys.id, keys.name AS name 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN (NULL) AND (1 != 1)
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at 
FROM keys 
WHERE keys.id = $1::UUID
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at 
FROM keys 
WHERE keys.id = $1::UUID FOR NO KEY UPDATE
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id = $2::UUID FOR NO KEY UPDATE
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.user_id = $2::UUID AND keys.id = $3::UUID
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.user_id = $2::UUID AND keys.id = $3::UUID FOR NO KEY UPDATE
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at, (SELECT credentials.hint 
FROM credentials 
WHERE credentials.key_id = keys.id ORDER BY credentials.created_at DESC 
 LIMIT $1::INTEGER) AS hint 
FROM keys 
WHERE keys.id = $2::UUID
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at, (SELECT credentials.hint 
FROM credentials 
WHERE credentials.key_id = keys.id ORDER BY credentials.created_at DESC 
 LIMIT $1::INTEGER) AS hint 
FROM keys 
WHERE keys.org_id = $2::UUID AND keys.id = $3::UUID
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at, (SELECT credentials.hint 
FROM credentials 
WHERE credentials.key_id = keys.id ORDER BY credentials.created_at DESC 
 LIMIT $1::INTEGER) AS hint 
FROM keys 
WHERE keys.org_id = $2::UUID AND keys.user_id = $3::UUID AND keys.id < $4::UUID ORDER BY keys.id DESC 
 LIMIT $5::INTEGER
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at, (SELECT credentials.hint 
FROM credentials 
WHERE credentials.key_id = keys.id ORDER BY credentials.created_at DESC 
 LIMIT $1::INTEGER) AS hint 
FROM keys 
WHERE keys.org_id = $2::UUID AND keys.user_id = $3::UUID AND keys.id = $4::UUID
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at, (SELECT credentials.hint 
FROM credentials 
WHERE credentials.key_id = keys.id ORDER BY credentials.created_at DESC 
 LIMIT $1::INTEGER) AS hint 
FROM keys 
WHERE keys.org_id = $2::UUID AND keys.user_id = $3::UUID ORDER BY keys.id DESC 
 LIMIT $4::INTEGER
;
SELECT keys.id, keys.org_id, keys.user_id, keys.name, keys.status, keys.expires_at, keys.allowed_models, keys.requests_per_minute, keys.requests_per_hour, keys.tokens_per_minute, keys.tokens_per_hour, keys.burst_limit, keys.concurrent_requests, keys.dry_run, keys.limits_version, keys.publication_id, keys.last_used_at, keys.created_by, keys.created_at, keys.updated_at, (SELECT credentials.hint 
FROM credentials 
WHERE credentials.key_id = keys.id ORDER BY credentials.created_at DESC 
 LIMIT $1::INTEGER) AS hint 
FROM keys 
WHERE keys.org_id = $2::UUID ORDER BY keys.id DESC 
 LIMIT $3::INTEGER
;
SELECT ledger.admitted_at, ledger.event_id, ledger.org_id, ledger.user_id, ledger.key_id, ledger.publication_id, ledger.model, ledger.upstream_model, ledger.endpoint, ledger.stream, ledger.outcome, ledger.http_status, ledger.input_tokens, ledger.cached_input_tokens, ledger.output_tokens, ledger.reasoning_tokens, ledger.usage_source, ledger.held_tokens, ledger.time_to_first_token_ms, ledger.duration_ms, ledger.ended_at, ledger.recorded_at, ledger.request_id, ledger.tags 
FROM ledger 
WHERE ledger.org_id = $1::UUID AND ledger.request_id = $2::VARCHAR ORDER BY ledger.admitted_at DESC, ledger.event_id DESC 
 LIMIT $3::INTEGER
;
SELECT ledger.publication_id, count(*) AS total_requests, count(*) FILTER (WHERE ledger.admitted_at >= date_trunc($1::VARCHAR, now(), $2::VARCHAR)) AS requests_today, sum(ledger.input_tokens + ledger.output_tokens) AS tokens_used, max(ledger.admitted_at) AS last_access_time 
FROM ledger 
WHERE ledger.publication_id IN ($3::UUID) GROUP BY ledger.publication_id
;
SELECT ledger.publication_id, count(*) AS total_requests, count(*) FILTER (WHERE ledger.admitted_at >= date_trunc($1::VARCHAR, now(), $2::VARCHAR)) AS requests_today, sum(ledger.input_tokens + ledger.output_tokens) AS tokens_used, max(ledger.admitted_at) AS last_access_time 
FROM ledger 
WHERE ledger.publication_id IN ($3::UUID, $4::UUID) GROUP BY ledger.publication_id
;
SELECT orgs.id, orgs.slug 
FROM orgs 
WHERE orgs.status != $1::VARCHAR AND (orgs.slug IN ($2::VARCHAR) OR orgs.id IN ($3::UUID))
;
SELECT orgs.id, orgs.slug 
FROM orgs 
WHERE orgs.status != $1::VARCHAR AND (orgs.slug IN ($2::VARCHAR) OR orgs.id IN (NULL) AND (1 != 1))
;
SELECT orgs.id, orgs.slug 
FROM orgs 
WHERE orgs.status != $1::VARCHAR AND (orgs.slug IN ($2::VARCHAR, $3::VARCHAR) OR orgs.id IN ($4::UUID))
;
SELECT orgs.id, orgs.slug 
FROM orgs 
WHERE orgs.status != $1::VARCHAR AND (orgs.slug IN ($2::VARCHAR, $3::VARCHAR) OR orgs.id IN (NULL) AND (1 != 1))
;
SELECT orgs.id, orgs.slug 
FROM orgs 
WHERE orgs.status != $1::VARCHAR AND (orgs.slug IN ($2::VARCHAR, $3::VARCHAR, $4::VARCHAR) OR orgs.id IN ($5::UUID))
;
SELECT orgs.id, orgs.slug AS name 
FROM orgs 
WHERE orgs.id IN ($1::UUID, $2::UUID)
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.id = $1::UUID
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.id = $1::UUID AND orgs.id = $2::UUID FOR NO KEY UPDATE
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.id = $1::UUID AND orgs.status != $2::VARCHAR AND orgs.slug = $3::VARCHAR
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.id = $1::UUID AND orgs.status != $2::VARCHAR ORDER BY orgs.id DESC 
 LIMIT $3::INTEGER
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.id = $1::UUID FOR NO KEY UPDATE
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.status != $1::VARCHAR AND orgs.slug = $2::VARCHAR
;
SELECT orgs.id, orgs.slug, orgs.name, orgs.status, orgs.requests_per_minute, orgs.requests_per_hour, orgs.tokens_per_minute, orgs.tokens_per_hour, orgs.burst_limit, orgs.concurrent_requests, orgs.dry_run, orgs.limits_version, orgs.admission_mode, orgs.outage_tokens, orgs.created_at, orgs.updated_at 
FROM orgs 
WHERE orgs.status != $1::VARCHAR ORDER BY orgs.id DESC 
 LIMIT $2::INTEGER
;
SELECT pg_advisory_lock($1::INTEGER) AS pg_advisory_lock_1
;
SELECT pg_advisory_unlock($1::INTEGER) AS pg_advisory_unlock_1
;
SELECT pg_advisory_xact_lock($1::INTEGER) AS pg_advisory_xact_lock_1
;
SELECT publications.id 
FROM publications 
WHERE publications.status = $1::VARCHAR
;
SELECT publications.id, publications.model, publications.org_id, publications.model_type, publications.public_hostname, publications.external_path, publications.upstream_model, publications.backend_id, publications.requests_per_minute, publications.requests_per_hour, publications.tokens_per_minute, publications.tokens_per_hour, publications.burst_limit, publications.concurrent_requests, publications.dry_run, publications.admission_mode, publications.context_tokens, publications.output_cap, publications.continuous_usage, publications.require_api_key, publications.status, publications.status_reason, publications.version, publications.created_at, publications.updated_at 
FROM publications 
WHERE publications.status != $1::VARCHAR AND publications.model = $2::VARCHAR FOR UPDATE
;
SELECT publications.id, publications.model, publications.org_id, publications.model_type, publications.public_hostname, publications.external_path, publications.upstream_model, publications.backend_id, publications.requests_per_minute, publications.requests_per_hour, publications.tokens_per_minute, publications.tokens_per_hour, publications.burst_limit, publications.concurrent_requests, publications.dry_run, publications.admission_mode, publications.context_tokens, publications.output_cap, publications.continuous_usage, publications.require_api_key, publications.status, publications.status_reason, publications.version, publications.created_at, publications.updated_at, owner.slug AS tenant_slug, backends.name AS backend_name, backends.health AS backend_health, (SELECT array_agg(orgs.slug ORDER BY orgs.slug) AS array_agg_1 
FROM orgs JOIN publication_tenants ON publication_tenants.org_id = orgs.id 
WHERE publication_tenants.publication_id = publications.id) AS tenant_slugs, (SELECT credentials.hint 
FROM credentials JOIN keys ON keys.id = credentials.key_id 
WHERE keys.publication_id = publications.id AND keys.status != $1::VARCHAR AND credentials.revoked_at IS NULL ORDER BY credentials.created_at DESC 
 LIMIT $2::INTEGER) AS key_hint 
FROM publications JOIN orgs AS owner ON owner.id = publications.org_id JOIN backends ON backends.id = publications.backend_id 
WHERE publications.status != $3::VARCHAR AND publications.id < $4::UUID ORDER BY publications.id DESC 
 LIMIT $5::INTEGER
;
SELECT publications.id, publications.model, publications.org_id, publications.model_type, publications.public_hostname, publications.external_path, publications.upstream_model, publications.backend_id, publications.requests_per_minute, publications.requests_per_hour, publications.tokens_per_minute, publications.tokens_per_hour, publications.burst_limit, publications.concurrent_requests, publications.dry_run, publications.admission_mode, publications.context_tokens, publications.output_cap, publications.continuous_usage, publications.require_api_key, publications.status, publications.status_reason, publications.version, publications.created_at, publications.updated_at, owner.slug AS tenant_slug, backends.name AS backend_name, backends.health AS backend_health, (SELECT array_agg(orgs.slug ORDER BY orgs.slug) AS array_agg_1 
FROM orgs JOIN publication_tenants ON publication_tenants.org_id = orgs.id 
WHERE publication_tenants.publication_id = publications.id) AS tenant_slugs, (SELECT credentials.hint 
FROM credentials JOIN keys ON keys.id = credentials.key_id 
WHERE keys.publication_id = publications.id AND keys.status != $1::VARCHAR AND credentials.revoked_at IS NULL ORDER BY credentials.created_at DESC 
 LIMIT $2::INTEGER) AS key_hint 
FROM publications JOIN orgs AS owner ON owner.id = publications.org_id JOIN backends ON backends.id = publications.backend_id 
WHERE publications.status != $3::VARCHAR AND publications.model = $4::VARCHAR
;
SELECT publications.id, publications.model, publications.org_id, publications.model_type, publications.public_hostname, publications.external_path, publications.upstream_model, publications.backend_id, publications.requests_per_minute, publications.requests_per_hour, publications.tokens_per_minute, publications.tokens_per_hour, publications.burst_limit, publications.concurrent_requests, publications.dry_run, publications.admission_mode, publications.context_tokens, publications.output_cap, publications.continuous_usage, publications.require_api_key, publications.status, publications.status_reason, publications.version, publications.created_at, publications.updated_at, owner.slug AS tenant_slug, backends.name AS backend_name, backends.health AS backend_health, (SELECT array_agg(orgs.slug ORDER BY orgs.slug) AS array_agg_1 
FROM orgs JOIN publication_tenants ON publication_tenants.org_id = orgs.id 
WHERE publication_tenants.publication_id = publications.id) AS tenant_slugs, (SELECT credentials.hint 
FROM credentials JOIN keys ON keys.id = credentials.key_id 
WHERE keys.publication_id = publications.id AND keys.status != $1::VARCHAR AND credentials.revoked_at IS NULL ORDER BY credentials.created_at DESC 
 LIMIT $2::INTEGER) AS key_hint 
FROM publications JOIN orgs AS owner ON owner.id = publications.org_id JOIN backends ON backends.id = publications.backend_id 
WHERE publications.status != $3::VARCHAR AND publications.org_id = $4::UUID ORDER BY publications.id DESC 
 LIMIT $5::INTEGER
;
SELECT publications.id, publications.model, publications.org_id, publications.model_type, publications.public_hostname, publications.external_path, publications.upstream_model, publications.backend_id, publications.requests_per_minute, publications.requests_per_hour, publications.tokens_per_minute, publications.tokens_per_hour, publications.burst_limit, publications.concurrent_requests, publications.dry_run, publications.admission_mode, publications.context_tokens, publications.output_cap, publications.continuous_usage, publications.require_api_key, publications.status, publications.status_reason, publications.version, publications.created_at, publications.updated_at, owner.slug AS tenant_slug, backends.name AS backend_name, backends.health AS backend_health, (SELECT array_agg(orgs.slug ORDER BY orgs.slug) AS array_agg_1 
FROM orgs JOIN publication_tenants ON publication_tenants.org_id = orgs.id 
WHERE publication_tenants.publication_id = publications.id) AS tenant_slugs, (SELECT credentials.hint 
FROM credentials JOIN keys ON keys.id = credentials.key_id 
WHERE keys.publication_id = publications.id AND keys.status != $1::VARCHAR AND credentials.revoked_at IS NULL ORDER BY credentials.created_at DESC 
 LIMIT $2::INTEGER) AS key_hint 
FROM publications JOIN orgs AS owner ON owner.id = publications.org_id JOIN backends ON backends.id = publications.backend_id 
WHERE publications.status != $3::VARCHAR ORDER BY publications.id DESC 
 LIMIT $4::INTEGER
;
SELECT publications.model, backends.id, backends.base_url 
FROM publications JOIN backends ON backends.id = publications.backend_id 
WHERE publications.status IN ($1::VARCHAR, $2::VARCHAR) ORDER BY publications.model
;
SELECT security_events.id, security_events.minute, security_events.status, security_events.code, security_events.org_id, security_events.credential, security_events.address, security_events.overflow, security_events.requests, security_events.recorded_at 
FROM security_events 
WHERE security_events.org_id = $1::UUID AND security_events.id < $2::UUID ORDER BY security_events.id DESC 
 LIMIT $3::INTEGER
;
SELECT security_events.id, security_events.minute, security_events.status, security_events.code, security_events.org_id, security_events.credential, security_events.address, security_events.overflow, security_events.requests, security_events.recorded_at 
FROM security_events 
WHERE security_events.org_id = $1::UUID ORDER BY security_events.id DESC 
 LIMIT $2::INTEGER
;
SELECT security_events.id, security_events.minute, security_events.status, security_events.code, security_events.org_id, security_events.credential, security_events.address, security_events.overflow, security_events.requests, security_events.recorded_at 
FROM security_events ORDER BY security_events.id DESC 
 LIMIT $1::INTEGER
;
SELECT users.id 
FROM users 
WHERE users.id = $1::UUID FOR UPDATE
;
SELECT users.id 
FROM users 
WHERE users.org_id = $1::UUID AND users.role = $2::VARCHAR AND users.status != $3::VARCHAR
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users 
WHERE users.id = $1::UUID
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users 
WHERE users.id = $1::UUID FOR NO KEY UPDATE
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users 
WHERE users.org_id = $1::UUID AND users.id = $2::UUID FOR NO KEY UPDATE
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users 
WHERE users.org_id = $1::UUID AND users.status != $2::VARCHAR AND users.role != $3::VARCHAR AND users.id = $4::UUID
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users 
WHERE users.org_id = $1::UUID AND users.status != $2::VARCHAR AND users.role != $3::VARCHAR ORDER BY users.id DESC 
 LIMIT $4::INTEGER
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users 
WHERE users.status != $1::VARCHAR AND users.role != $2::VARCHAR AND users.id = $3::UUID
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users LEFT OUTER JOIN orgs ON orgs.id = users.org_id 
WHERE users.status = $1::VARCHAR AND (users.org_id IS NULL OR orgs.status = $2::VARCHAR) AND lower(users.username) = $3::VARCHAR AND users.role != $4::VARCHAR
;
SELECT users.id, users.org_id, users.username, users.email, users.role, users.status, users.password_hash, users.token_generation, users.requests_per_minute, users.requests_per_hour, users.tokens_per_minute, users.tokens_per_hour, users.burst_limit, users.concurrent_requests, users.dry_run, users.limits_version, users.created_at, users.updated_at 
FROM users LEFT OUTER JOIN orgs ON orgs.id = users.org_id 
WHERE users.status = $1::VARCHAR AND (users.org_id IS NULL OR orgs.status = $2::VARCHAR) AND users.id = $3::UUID
;
SELECT users.id, users.username AS name 
FROM users 
WHERE users.org_id = $1::UUID AND users.id IN ($2::UUID)
;
SELECT users.id, users.username AS name 
FROM users 
WHERE users.org_id = $1::UUID AND users.id IN ($2::UUID, $3::UUID)
;
SELECT users.id, users.username AS name 
FROM users 
WHERE users.org_id = $1::UUID AND users.id IN (NULL) AND (1 != 1)
;
UPDATE backends SET health=$1::VARCHAR, health_reason=$2::VARCHAR, models=$3::TEXT[], checked_at=$4::TIMESTAMP WITH TIME ZONE, updated_at=now() WHERE backends.id = $5::UUID AND backends.status != $6::VARCHAR AND (backends.checked_at IS NULL OR backends.checked_at <= $7::TIMESTAMP WITH TIME ZONE)
;
UPDATE backends SET status=$1::VARCHAR, updated_at=now() WHERE backends.id = $2::UUID
;
UPDATE credentials SET revoked_at=now() WHERE credentials.key_id IN (SELECT keys.id 
FROM keys 
WHERE keys.id IN ($1::UUID)) AND credentials.revoked_at IS NULL RETURNING credentials.credential_id
;
UPDATE credentials SET revoked_at=now() WHERE credentials.key_id IN (SELECT keys.id 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN ($2::UUID)) AND credentials.revoked_at IS NULL RETURNING credentials.credential_id
;
UPDATE credentials SET revoked_at=now() WHERE credentials.key_id IN (SELECT keys.id 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.id IN (NULL) AND (1 != 1)) AND credentials.revoked_at IS NULL RETURNING credentials.credential_id
;
UPDATE credentials SET revoked_at=now() WHERE credentials.key_id IN (SELECT keys.id 
FROM keys 
WHERE keys.org_id = $1::UUID AND keys.user_id = $2::UUID AND keys.id IN ($3::UUID)) AND credentials.revoked_at IS NULL RETURNING credentials.credential_id
;
UPDATE credentials SET revoked_at=now() WHERE credentials.key_id IN (SELECT keys.id 
FROM keys 
WHERE keys.org_id = $1::UUID) AND credentials.revoked_at IS NULL RETURNING credentials.credential_id
;
UPDATE keys SET requests_per_minute=$1::INTEGER, requests_per_hour=$2::INTEGER, tokens_per_minute=$3::BIGINT, tokens_per_hour=$4::BIGINT, burst_limit=$5::INTEGER, concurrent_requests=$6::INTEGER, dry_run=$7::TEXT[], limits_version=(keys.limits_version + $8::BIGINT), updated_at=now() WHERE keys.id = $9::UUID
;
UPDATE keys SET requests_per_minute=$1::INTEGER, requests_per_hour=$2::INTEGER, tokens_per_minute=$3::BIGINT, tokens_per_hour=$4::BIGINT, burst_limit=$5::INTEGER, concurrent_requests=$6::INTEGER, dry_run=$7::TEXT[], limits_version=(keys.limits_version + $8::BIGINT), updated_at=now() WHERE keys.org_id = $9::UUID AND keys.user_id = $10::UUID AND keys.id = $11::UUID
;
UPDATE keys SET status=$1::VARCHAR, updated_at=now() WHERE keys.id IN ($3::UUID) AND keys.status != $2::VARCHAR
;
UPDATE keys SET status=$1::VARCHAR, updated_at=now() WHERE keys.org_id = $2::UUID AND keys.id IN ($4::UUID) AND keys.status != $3::VARCHAR
;
UPDATE keys SET status=$1::VARCHAR, updated_at=now() WHERE keys.org_id = $2::UUID AND keys.id IN (NULL) AND (1 != 1) AND keys.status != $3::VARCHAR
;
UPDATE keys SET status=$1::VARCHAR, updated_at=now() WHERE keys.org_id = $2::UUID AND keys.status != $3::VARCHAR
;
UPDATE keys SET status=$1::VARCHAR, updated_at=now() WHERE keys.org_id = $2::UUID AND keys.user_id = $3::UUID AND keys.id IN ($5::UUID) AND keys.status != $4::VARCHAR
;
UPDATE orgs SET requests_per_minute=$1::INTEGER, requests_per_hour=$2::INTEGER, tokens_per_minute=$3::BIGINT, tokens_per_hour=$4::BIGINT, burst_limit=$5::INTEGER, concurrent_requests=$6::INTEGER, dry_run=$7::TEXT[], limits_version=(orgs.limits_version + $8::BIGINT), admission_mode=$9::VARCHAR, outage_tokens=$10::BIGINT, updated_at=now() WHERE orgs.id = $11::UUID
;
UPDATE orgs SET status=$1::VARCHAR, updated_at=now() WHERE orgs.id = $2::UUID AND orgs.id = $3::UUID
;
UPDATE publications SET public_hostname=$1::VARCHAR, requests_per_minute=$2::INTEGER, tokens_per_hour=$3::BIGINT, version=(publications.version + $4::INTEGER), updated_at=now() WHERE publications.id = $5::UUID
;
UPDATE publications SET requests_per_minute=$1::INTEGER, version=(publications.version + $2::INTEGER), updated_at=now() WHERE publications.id = $3::UUID
;
UPDATE publications SET status=$1::VARCHAR, status_reason=$2::VARCHAR, updated_at=now() WHERE publications.id = $3::UUID AND publications.status = $4::VARCHAR
;
UPDATE publications SET status=$1::VARCHAR, updated_at=now() WHERE publications.id = $2::UUID
;
UPDATE publications SET tokens_per_minute=$1::BIGINT, admission_mode=$2::VARCHAR, output_cap=$3::BIGINT, version=(publications.version + $4::INTEGER), updated_at=now() WHERE publications.id = $5::UUID
;
UPDATE publications SET upstream_model=$1::VARCHAR, backend_id=$2::UUID, version=(publications.version + $3::INTEGER), updated_at=now() WHERE publications.id = $4::UUID
;
UPDATE publications SET version=(publications.version + $1::INTEGER), updated_at=now() WHERE publications.id = $2::UUID
;
UPDATE users SET password_hash=$1::VARCHAR, updated_at=now() WHERE users.id = $2::UUID
;
UPDATE users SET requests_per_minute=$1::INTEGER, requests_per_hour=$2::INTEGER, tokens_per_minute=$3::BIGINT, tokens_per_hour=$4::BIGINT, burst_limit=$5::INTEGER, concurrent_requests=$6::INTEGER, dry_run=$7::TEXT[], limits_version=(users.limits_version + $8::BIGINT), updated_at=now() WHERE users.id = $9::UUID
;
UPDATE users SET status=$1::VARCHAR, password_hash=$2::VARCHAR, token_generation=(users.token_generation + $3::INTEGER), updated_at=now() WHERE users.org_id = $4::UUID AND users.id = $5::UUID
;
UPDATE users SET status=$1::VARCHAR, password_hash=$2::VARCHAR, token_generation=(users.token_generation + $3::INTEGER), updated_at=now() WHERE users.org_id = $4::UUID AND users.org_id = $5::UUID AND users.status != $6::VARCHAR
