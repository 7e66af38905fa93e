/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/sql.test.ts > TAP > buryEvent > buryEvent 1`] = `
WITH gone AS (DELETE FROM event_queue WHERE id = $1 RETURNING org_id, order_id, sequence, attempts)
      INSERT INTO dead_letters (org_id, order_id, sequence, attempts, reason)
      SELECT org_id, order_id, sequence, attempts + 1, left($2, 500) FROM gone

[
 1,
 "will not do"
]
`

exports[`test/sql.test.ts > TAP > claimDeliveries > claimDeliveries 1`] = `
WITH RECURSIVE waiting AS (
        (SELECT org_id, webhook_id FROM webhook_deliveries WHERE state = 'pending' ORDER BY org_id, webhook_id LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting w, LATERAL (
          SELECT d.org_id, d.webhook_id FROM webhook_deliveries d
          WHERE state = 'pending' AND (d.org_id, d.webhook_id) > (w.org_id, w.webhook_id)
          ORDER BY d.org_id, d.webhook_id LIMIT 1) following
      ), busy AS MATERIALIZED (
        SELECT org_id, webhook_id, count(*) AS sends FROM webhook_deliveries
        WHERE leased_until IS NOT NULL AND leased_until > statement_timestamp() GROUP BY org_id, webhook_id
      ), busy_orgs AS (
        SELECT org_id, sum(sends) AS sends FROM busy GROUP BY org_id
      ), receivers AS (
        SELECT org_id, webhook_id, coalesce(sends, 0) AS sends, w.first_failure_at IS NOT NULL AS failing
        FROM waiting JOIN webhooks w USING (org_id) LEFT JOIN busy USING (org_id, webhook_id)
        WHERE w.id = webhook_id AND w.enabled
      ), due AS (
        SELECT r.org_id, r.failing, d.id, d.due_at,
          r.sends + row_number() OVER (PARTITION BY r.org_id, r.webhook_id ORDER BY d.due_at) AS turn
        FROM receivers r, LATERAL (
          SELECT id, due_at FROM webhook_deliveries d
          WHERE d.org_id = r.org_id AND d.webhook_id = r.webhook_id AND d.state = 'pending'
            AND d.due_at <= statement_timestamp()
            AND (d.leased_until IS NULL OR d.leased_until <= statement_timestamp())
          ORDER BY d.due_at LIMIT greatest(0, CASE WHEN r.failing THEN 1 ELSE $4::int END - r.sends)) d
      ), ranked AS (
        SELECT due.*, row_number() OVER (PARTITION BY failing ORDER BY turn, due_at) AS rank, coalesce(sends, 0)
          + row_number() OVER (PARTITION BY org_id ORDER BY failing, turn, due_at) AS org_turn
        FROM due LEFT JOIN busy_orgs USING (org_id)
      ), chosen AS (
        SELECT org_id, id FROM ranked WHERE org_turn <= $5 AND (NOT failing OR rank <= $2)
        ORDER BY failing, turn, due_at LIMIT $1
      ), held AS (
        SELECT at FROM chosen c, LATERAL (
          SELECT ctid AS at FROM webhook_deliveries WHERE org_id = c.org_id AND id = c.id FOR UPDATE SKIP LOCKED) d
      ), claimed AS (
        UPDATE webhook_deliveries SET leased_until = clock_timestamp() + make_interval(secs => $3)
        WHERE ctid = ANY (ARRAY(SELECT at FROM held)) RETURNING *
      )
      SELECT c.org_id, c.id AS delivery_id, c.webhook_id, c.leased_until,
        floor(extract(epoch FROM clock_timestamp()))::float8 AS claimed_at, c.attempts, c.type AS event_type, c.sequence,
        coalesce(e.occurred_at, c.created_at) AS time, w.first_failure_at IS NOT NULL AS failing, w.url, w.signature,
        w.key, CASE WHEN w.previous_key_ends_at > now() THEN w.previous_key END AS previous_key, c.order_id,
        c.org_id AS order_org_id, o.project_id AS order_project_id, o.amount AS order_amount,
        o.currency AS order_currency, e.status AS order_status, e.description AS order_description,
        e.metadata AS order_metadata, o.created_at AS order_created_at, e.occurred_at AS order_updated_at,
        e.sequence AS order_version
      FROM claimed c
      CROSS JOIN LATERAL (SELECT * FROM webhooks WHERE org_id = c.org_id AND id = c.webhook_id LIMIT 1) w
      LEFT JOIN LATERAL (SELECT * FROM orders WHERE org_id = c.org_id AND id = c.order_id LIMIT 1) o ON true LEFT JOIN LATERAL (SELECT * FROM order_events
    WHERE org_id = o.org_id AND order_number = o.number AND sequence = c.sequence LIMIT 1) e ON true

[
 200,
 100,
 60,
 4,
 20
]
`

exports[`test/sql.test.ts > TAP > completeClaims > completeClaims 1`] = `
WITH given_up AS (
        DELETE FROM idempotency_records r USING unnest($6::text[], $7::text[], $8::text[]) AS c (route, principal, key)
        WHERE r.org_id = $1 AND r.route = c.route AND r.principal = c.principal AND r.key = c.key AND r.answer IS NULL)
      UPDATE idempotency_records r SET answer = c.answer
      FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) AS c (route, principal, key, answer)
      WHERE r.org_id = $1 AND r.route = c.route AND r.principal = c.principal AND r.key = c.key AND r.answer IS NULL

[
 "00000000-0000-7000-8000-000000000000",
 [
  "POST /orders"
 ],
 [
  "someone"
 ],
 [
  "key-of-a-request"
 ],
 [
  "{\\"status\\":201,\\"headers\\":{},\\"body\\":\\"{}\\"}"
 ],
 [
  "POST /orders"
 ],
 [
  "someone"
 ],
 [
  "key-of-a-request"
 ]
]
`

exports[`test/sql.test.ts > TAP > countOtherOwners > countOtherOwners 1`] = `
select count(*) as "count" from "memberships" where "org_id" = $1 and "role" = $2 and "user_id" != $3

[
 [
  "00000000-0000-7000-8000-000000000000",
  "owner",
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > countRows > countRows 1`] = `
select count(*) as "count" from "webhooks" where "org_id" = $1

[
 [
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > deleteMembership > deleteMembership 1`] = `
delete from "memberships" where "org_id" = $1 and "user_id" = $2

[
 [
  "00000000-0000-7000-8000-000000000000",
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > deleteOrg > deleteOrg 1`] = `
select "id" from "orders" where "org_id" = $1 limit $2

[
 [
  "00000000-0000-7000-8000-000000000000",
  1
 ]
]
`

exports[`test/sql.test.ts > TAP > deleteProject > deleteProject 1`] = `
DELETE FROM projects WHERE org_id = $1 AND id = $2 RETURNING id

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > deleteRemoved > deleteRemoved 1`] = `
WITH first AS (SELECT id FROM removed_organisations ORDER BY id LIMIT $1),
      picked AS (SELECT id FROM first r WHERE (SELECT true FROM outbox t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM event_queue t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM order_events t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM orders t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM order_statistics_changes t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM order_statistics t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM projects t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM webhooks t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM event_positions t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM dead_letters t WHERE t.org_id = r.id LIMIT 1) IS NULL
          AND (SELECT true FROM memberships t WHERE t.org_id = r.id LIMIT 1) IS NULL),
      gone AS (DELETE FROM organisations WHERE id IN (SELECT id FROM picked) RETURNING 1),
      unmarked AS (DELETE FROM removed_organisations WHERE id IN (SELECT id FROM picked))
    SELECT count(*) AS removed FROM gone

[
 100
]
`

exports[`test/sql.test.ts > TAP > deleteWebhook > deleteWebhook 1`] = `
WITH gone AS (DELETE FROM webhooks WHERE org_id = $1 AND id = $2 RETURNING id), deliveries AS (
      DELETE FROM webhook_deliveries WHERE org_id = $1 AND id IN (
        SELECT id FROM webhook_deliveries WHERE org_id = $1 AND webhook_id = (SELECT id FROM gone)
        ORDER BY created_at DESC, id DESC LIMIT 20000 FOR UPDATE SKIP LOCKED))
    SELECT id FROM gone

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved dead_letters > emptyRemoved dead_letters 1`] = `
WITH gone AS (
        DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM dead_letters t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved event_positions > emptyRemoved event_positions 1`] = `
WITH gone AS (
        DELETE FROM event_positions WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM event_positions t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved event_queue > emptyRemoved event_queue 1`] = `
WITH gone AS (
        DELETE FROM event_queue WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM event_queue t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved memberships > emptyRemoved memberships 1`] = `
WITH gone AS (
        DELETE FROM memberships WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM memberships t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved order_events > emptyRemoved order_events 1`] = `
WITH gone AS (
        DELETE FROM order_events WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM order_events t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved order_statistics > emptyRemoved order_statistics 1`] = `
WITH gone AS (
        DELETE FROM order_statistics WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM order_statistics t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved order_statistics_changes > emptyRemoved order_statistics_changes 1`] = `
WITH gone AS (
        DELETE FROM order_statistics_changes WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM order_statistics_changes t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved orders > emptyRemoved orders 1`] = `
WITH gone AS (
        DELETE FROM orders WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM orders t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved outbox > emptyRemoved outbox 1`] = `
WITH gone AS (
        DELETE FROM outbox WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM outbox t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved projects > emptyRemoved projects 1`] = `
WITH gone AS (
        DELETE FROM projects WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM projects t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > emptyRemoved webhooks > emptyRemoved webhooks 1`] = `
WITH gone AS (
        DELETE FROM webhooks WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM webhooks t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone

[
 5000,
 100
]
`

exports[`test/sql.test.ts > TAP > fanOut > fanOut 1`] = `
WITH RECURSIVE waiting AS (
        (SELECT org_id, webhook_id FROM webhook_fanouts ORDER BY org_id, webhook_id LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting w, LATERAL (
          SELECT f.org_id, f.webhook_id FROM webhook_fanouts f
          WHERE (f.org_id, f.webhook_id) > (w.org_id, w.webhook_id)
          ORDER BY f.org_id, f.webhook_id LIMIT 1) following
      ), ready AS MATERIALIZED (
        SELECT org_id, webhook_id FROM waiting w WHERE NOT EXISTS (
          SELECT FROM webhook_deliveries d
          WHERE d.org_id = w.org_id AND d.webhook_id = w.webhook_id AND d.state = 'pending'
            AND d.due_at <= statement_timestamp()
          ORDER BY d.due_at OFFSET $2 - 1 LIMIT 1)
      ), offered AS (
        SELECT f.*, sum(events) OVER (PARTITION BY f.org_id, f.webhook_id ORDER BY f.position) AS share,
          row_number() OVER (ORDER BY created_at, f.org_id, f.webhook_id, f.position) = 1 AS oldest
        FROM ready r, LATERAL (
          SELECT * FROM webhook_fanouts f WHERE f.org_id = r.org_id AND f.webhook_id = r.webhook_id
          ORDER BY f.org_id, f.webhook_id, f.position LIMIT 1 + 4 * $1 / (SELECT count(*) FROM ready)) f
      ), chosen AS MATERIALIZED (
        SELECT org_id, webhook_id, position FROM (
          SELECT *, sum(events) FILTER (WHERE NOT oldest) OVER (ORDER BY share, created_at, org_id, webhook_id) AS through
          FROM offered)
        WHERE oldest OR through < $1
      ), held AS (
        SELECT at FROM chosen c, LATERAL (
          SELECT ctid AS at FROM webhook_fanouts
          WHERE org_id = c.org_id AND webhook_id = c.webhook_id AND position = c.position) f
      ), taken AS (
        DELETE FROM webhook_fanouts WHERE ctid = ANY (ARRAY(SELECT at FROM held)) RETURNING org_id, webhook_id, position
      ), wanted AS MATERIALIZED (
        SELECT l.org_id, o.order_id, l.sequence, w.id AS webhook_id, w.event_types
        FROM taken t,
          LATERAL (SELECT * FROM event_log WHERE org_id = t.org_id AND position = t.position LIMIT 1) l,
          LATERAL (SELECT id, event_types FROM webhooks WHERE org_id = t.org_id AND id = t.webhook_id LIMIT 1) w,
          unnest(coalesce(l.order_ids, ARRAY[l.only_order_id])) AS o (order_id)
      ), made AS (
        INSERT INTO webhook_deliveries (org_id, webhook_id, order_id, sequence, type)
        SELECT w.org_id, w.webhook_id, w.order_id, w.sequence, e.type
        FROM wanted w, LATERAL (SELECT * FROM orders WHERE org_id = w.org_id AND id = w.order_id LIMIT 1) o, LATERAL (SELECT * FROM order_events
    WHERE org_id = o.org_id AND order_number = o.number AND sequence = w.sequence LIMIT 1) e
        WHERE w.event_types IS NULL OR e.type = ANY (w.event_types) RETURNING 1
      )
      SELECT (SELECT count(*) FROM taken)::int AS rows, (SELECT count(*) FROM made)::int AS deliveries

[
 500,
 500
]
`

exports[`test/sql.test.ts > TAP > finishBatch > finishBatch 1`] = `
WITH gone AS (DELETE FROM event_queue WHERE id = ANY ($3))
      UPDATE event_lanes l SET leased_until = '-infinity'
      FROM unnest($1::int[], $2::bigint[]) AS held (lane, lease) WHERE l.lane = held.lane AND l.lease = held.lease

[
 [
  3
 ],
 [
  7
 ],
 [
  1,
  2
 ]
]
`

exports[`test/sql.test.ts > TAP > finishDelivery > finishDelivery 1`] = `
WITH done AS (
        UPDATE webhook_deliveries SET state = $4, attempts = attempts + 1, leased_until = NULL,
          due_at = clock_timestamp() + make_interval(secs => $5), last_status = $6, last_reply = left($7, 4096),
          last_error = left($8, 500), last_duration_ms = $9,
          delivered_at = CASE WHEN $4 = 'delivered' THEN clock_timestamp() END
        WHERE org_id = $1 AND id = $2 AND leased_until = $3 RETURNING org_id, webhook_id
      ), judged AS (
        SELECT w.org_id, w.id, CASE WHEN $4 = 'delivered' THEN NULL WHEN $10 THEN 'gone'
            WHEN w.first_failure_at <= now() - make_interval(days => $11) THEN 'failing' END AS reason
        FROM done JOIN webhooks w ON w.org_id = done.org_id AND w.id = done.webhook_id
        WHERE CASE WHEN $4 = 'delivered' THEN w.first_failure_at IS NOT NULL ELSE w.enabled END
      )
      UPDATE webhooks w SET
        first_failure_at = CASE WHEN $4 = 'delivered' THEN NULL ELSE coalesce(w.first_failure_at, now()) END,
        enabled = w.enabled AND reason IS NULL,
        disabled_reason = coalesce(w.disabled_reason, reason),
        disabled_at = CASE WHEN reason IS NULL THEN w.disabled_at ELSE now() END,
        version = w.version + (reason IS NOT NULL)::int,
        updated_at = CASE WHEN reason IS NULL THEN w.updated_at ELSE now() END
      FROM judged j WHERE w.org_id = j.org_id AND w.id = j.id
        AND ($4 = 'delivered' OR w.first_failure_at IS NULL OR reason IS NOT NULL)
      RETURNING reason AS disabled_reason

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000",
 "2026-01-01 00:00:00.000001+00",
 "pending",
 5,
 500,
 "no",
 null,
 7,
 false,
 5
]
`

exports[`test/sql.test.ts > TAP > foldStatistics > foldStatistics 1`] = `
WITH taken AS (
        DELETE FROM order_statistics_changes WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM order_statistics_changes LIMIT $1))
        RETURNING org_id, day, currency, status, orders, amount, metadata_bytes
      ), touched AS (
        SELECT DISTINCT org_id, day, currency, status FROM taken
      ), replaced AS (
        DELETE FROM order_statistics WHERE ctid = ANY (ARRAY(
          SELECT at FROM touched t, LATERAL (
            SELECT ctid AS at FROM order_statistics s
            WHERE s.org_id = t.org_id AND s.day = t.day AND s.currency = t.currency AND s.status = t.status LIMIT 1) s))
        RETURNING org_id, day, currency, status, orders, amount, metadata_bytes
      ), written AS (
        INSERT INTO order_statistics (org_id, day, currency, status, orders, amount, metadata_bytes)
        SELECT org_id, day, currency, status, sum(orders), sum(amount), sum(metadata_bytes)
        FROM (SELECT * FROM taken UNION ALL SELECT * FROM replaced) AS shares GROUP BY org_id, day, currency, status
        HAVING sum(orders) <> 0 OR sum(amount) <> 0 OR sum(metadata_bytes) <> 0
        ORDER BY org_id, day, currency, status
      )
      SELECT count(*)::int AS folded FROM taken

[
 10000
]
`

exports[`test/sql.test.ts > TAP > hasMembership > hasMembership 1`] = `
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));
SELECT org_id FROM memberships WHERE user_id = $1 LIMIT 1

[
 [
  "memberships 00000000-0000-7000-8000-000000000000"
 ],
 [
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > insertAnsweredClaim > insertAnsweredClaim 1`] = `
INSERT INTO idempotency_records (org_id, route, principal, key, fingerprint, answer)
      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING key

[
 "00000000-0000-7000-8000-000000000000",
 "POST /orders",
 "someone",
 "key-of-a-request",
 {
  "type": "Buffer",
  "data": [
   107,
   134,
   178,
   115,
   255,
   52,
   252,
   225,
   157,
   107,
   128,
   78,
   255,
   90,
   63,
   87,
   71,
   173,
   164,
   234,
   162,
   47,
   29,
   73,
   192,
   30,
   82,
   221,
   183,
   135,
   91,
   75
  ]
 },
 "{\\"status\\":201,\\"headers\\":{},\\"body\\":\\"{}\\"}"
]
`

exports[`test/sql.test.ts > TAP > insertOrg > insertOrg 1`] = `
insert into "organisations" ("id", "name", "slug") values ($1, $2, $3) returning *

[
 [
  "00000000-0000-7000-8000-000000000000",
  "Lamps",
  "lamps"
 ]
]
`

exports[`test/sql.test.ts > TAP > insertProject > insertProject 1`] = `
insert into "projects" ("org_id", "name", "slug") values ($1, $2, $3) returning "org_id", "id", "name", "slug", "created_at", "updated_at"

[
 [
  "00000000-0000-7000-8000-000000000000",
  "Lamps",
  "lamps"
 ]
]
`

exports[`test/sql.test.ts > TAP > insertTest > insertTest 1`] = `
INSERT INTO webhook_deliveries (org_id, webhook_id, type)
    SELECT org_id, id, $3 FROM webhooks WHERE org_id = $1 AND id = $2 AND enabled RETURNING id, webhook_id, order_id, sequence, type, state, attempts,
  CASE WHEN state = 'pending' THEN due_at END AS due_at,
  last_status, last_reply, last_error, last_duration_ms, created_at, delivered_at

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000",
 "orders.webhook.test.v1"
]
`

exports[`test/sql.test.ts > TAP > insertWebhook > insertWebhook 1`] = `

    INSERT INTO webhooks (org_id, url, description, event_types, signature, key)
    VALUES ($1, $2, $3, $4::text[], $5, $6)
    RETURNING id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at

[
 [
  "00000000-0000-7000-8000-000000000000",
  "https://example.com",
  null,
  null,
  "ed25519",
  {
   "type": "Buffer",
   "data": [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0
   ]
  }
 ]
]
`

exports[`test/sql.test.ts > TAP > leaseLanes > leaseLanes 1`] = `
WITH free AS (
        SELECT lane FROM event_lanes l
        WHERE leased_until <= clock_timestamp() AND EXISTS (SELECT FROM event_queue q WHERE q.lane = l.lane)
        ORDER BY served_at LIMIT $1 FOR UPDATE SKIP LOCKED
      )
      UPDATE event_lanes l SET lease = lease + 1, served_at = clock_timestamp(),
        leased_until = clock_timestamp() + make_interval(secs => $2)
      FROM free WHERE l.lane = free.lane RETURNING l.lane, l.lease

[
 8,
 30
]
`

exports[`test/sql.test.ts > TAP > lockOrder > lockOrder 1`] = `
select "id", "org_id", "project_id", "amount", "currency", "status", "description", "metadata", "created_at", "updated_at", "version" from "orders" where "org_id" = $1 and "id" = $2 for update

[
 [
  "00000000-0000-7000-8000-000000000000",
  "a"
 ]
]
`

exports[`test/sql.test.ts > TAP > lockOrg > lockOrg 1`] = `

    SELECT slug FROM organisations WHERE id = $1 FOR NO KEY UPDATE

[
 [
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > lockWebhook > lockWebhook 1`] = `

    SELECT id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at FROM webhooks WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE

[
 [
  "00000000-0000-7000-8000-000000000000",
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > moveEvents > moveEvents 1`] = `
WITH RECURSIVE waiting AS (
        (SELECT org_id, id FROM outbox WHERE org_id >= $3 AND (SELECT pg_try_advisory_xact_lock(7106115001))
          ORDER BY org_id, id LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting w, LATERAL (
          SELECT org_id, id FROM outbox o WHERE o.org_id > w.org_id ORDER BY o.org_id, o.id LIMIT 1) following
      ), visited AS MATERIALIZED (
        SELECT org_id, id AS first FROM waiting LIMIT $4
      ), offered AS (
        SELECT o.*, sum(events) OVER (PARTITION BY o.org_id ORDER BY o.id) AS share, o.id = min(o.id) OVER () AS oldest
        FROM visited v, LATERAL (
          SELECT org_id, id, events FROM outbox WHERE org_id = v.org_id AND id >= v.first
          ORDER BY id LIMIT least($5::integer, 1 + 4 * $1 / (SELECT count(*) FROM visited))) o
      ), chosen AS MATERIALIZED (
        SELECT id FROM (
          SELECT id, oldest, sum(events) FILTER (WHERE NOT oldest) OVER (ORDER BY share, id) AS through FROM offered)
        WHERE oldest OR through < $1
      ), taken AS (
        DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT id FROM chosen))
        RETURNING id, org_id, sequence, coalesce(order_ids, ARRAY[order_id]) AS order_ids, events
      ), numbered AS (
        SELECT *, sum(events) OVER (PARTITION BY org_id ORDER BY id) AS through,
          sum(events) OVER (PARTITION BY org_id) AS org_events FROM taken
      ), positions AS (
        INSERT INTO event_positions AS p (org_id, position) SELECT org_id, sum(events) FROM taken GROUP BY org_id
        ON CONFLICT (org_id) DO UPDATE SET position = p.position + excluded.position
        RETURNING org_id, position
      ), logged AS (
        INSERT INTO event_log (org_id, position, sequence, order_ids, events)
        SELECT org_id, position - org_events + through, sequence, order_ids, events
        FROM numbered JOIN positions USING (org_id) RETURNING org_id, position, events
      ), queued AS (
        INSERT INTO event_queue (lane, org_id, order_id, sequence)
        SELECT hashtext(org_id || order_id) & 63, org_id, order_id, sequence
        FROM taken, unnest(order_ids) WITH ORDINALITY AS o (order_id, place)
        WHERE $2 = 'all' OR ($2 = 'placed' AND sequence = 1) ORDER BY id, place
      ), to_fan_out AS (
        INSERT INTO webhook_fanouts (org_id, webhook_id, position, events)
        SELECT w.org_id, w.id, l.position, l.events FROM webhooks w JOIN logged l ON l.org_id = w.org_id WHERE w.enabled
      )
      SELECT org_id, events AS moved, pg_notify('events', org_id::text),
        CASE WHEN $2 = 'none' AND sequence = 1 THEN order_ids ELSE '{}' END AS placed,
        CASE WHEN (SELECT count(*) FROM visited) = $4
          THEN (SELECT org_id FROM visited ORDER BY org_id DESC LIMIT 1) END AS continue_from
      FROM taken ORDER BY id

[
 2000,
 "all",
 "00000000-0000-7000-8000-000000000000",
 500,
 500
]
`

exports[`test/sql.test.ts > TAP > placeClaimedOrders > placeClaimedOrders 1`] = `
WITH claimed AS (
        INSERT INTO idempotency_records (org_id, route, principal, key, fingerprint)
        SELECT $1::uuid, route, principal, key, fingerprint
        FROM unnest($8::text[], $9::text[], $10::text[], $11::bytea[]) AS claim (route, principal, key, fingerprint)
        WHERE key IS NOT NULL ORDER BY route, principal, key
        ON CONFLICT DO NOTHING RETURNING route, principal, key
      ), placed AS (
  INSERT INTO orders (org_id, id, amount, currency, project_id, description, metadata)
  SELECT $1::uuid, id, amount, currency, project_id, description, metadata
        FROM unnest($2::text[], $3::numeric[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[], $8::text[], $9::text[], $10::text[]) AS input (id, amount, currency, project_id, description, metadata, route, principal, key)
        WHERE key IS NULL OR (route, principal, key) IN (SELECT route, principal, key FROM claimed)
        ORDER BY id ON CONFLICT DO NOTHING RETURNING *
      ), 
  event AS (
    INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
    SELECT org_id, number, 1, 'orders.order.placed.v1', status, description, metadata FROM placed
  ), message AS (
    INSERT INTO outbox (org_id, sequence, order_ids, events)
    SELECT org_id, 1, array_agg(id), count(*) FROM placed GROUP BY org_id, number / 500
  )
  SELECT min(created_at) AS created_at,
    CASE WHEN count(*) < cardinality($2::text[]) THEN coalesce(array_agg(id), '{}') END AS ids
  FROM placed

[
 "00000000-0000-7000-8000-000000000000",
 [
  "a",
  "b"
 ],
 [
  "1.50",
  "1.50"
 ],
 [
  "EUR",
  "EUR"
 ],
 [
  null,
  null
 ],
 [
  null,
  null
 ],
 [
  "{}",
  "{}"
 ],
 [
  "POST /orders",
  null
 ],
 [
  "someone",
  null
 ],
 [
  "key-of-a-request",
  null
 ],
 [
  {
   "type": "Buffer",
   "data": [
    107,
    134,
    178,
    115,
    255,
    52,
    252,
    225,
    157,
    107,
    128,
    78,
    255,
    90,
    63,
    87,
    71,
    173,
    164,
    234,
    162,
    47,
    29,
    73,
    192,
    30,
    82,
    221,
    183,
    135,
    91,
    75
   ]
  },
  null
 ]
]
`

exports[`test/sql.test.ts > TAP > placeOrders > placeOrders 1`] = `
WITH placed AS (
  INSERT INTO orders (org_id, id, amount, currency, project_id, description, metadata)
  SELECT $1::uuid, id, amount, currency, project_id, description, metadata FROM unnest($2::text[], $3::numeric[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[]) AS input (id, amount, currency, project_id, description, metadata)
      ON CONFLICT DO NOTHING RETURNING *), 
  event AS (
    INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
    SELECT org_id, number, 1, 'orders.order.placed.v1', status, description, metadata FROM placed
  ), message AS (
    INSERT INTO outbox (org_id, sequence, order_ids, events)
    SELECT org_id, 1, array_agg(id), count(*) FROM placed GROUP BY org_id, number / 500
  )
  SELECT min(created_at) AS created_at,
    CASE WHEN count(*) < cardinality($2::text[]) THEN coalesce(array_agg(id), '{}') END AS ids
  FROM placed

[
 "00000000-0000-7000-8000-000000000000",
 [
  "a"
 ],
 [
  "1.50"
 ],
 [
  "EUR"
 ],
 [
  null
 ],
 [
  null
 ],
 [
  "{}"
 ]
]
`

exports[`test/sql.test.ts > TAP > postponeEvent > postponeEvent 1`] = `
UPDATE event_queue SET attempts = attempts + 1, reason = left($2, 500),
        retry_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
      WHERE id = $1

[
 1,
 "will not do",
 1000
]
`

exports[`test/sql.test.ts > TAP > rebuildStatistics > rebuildStatistics 1`] = `
WITH sums AS MATERIALIZED (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, count(*) AS orders, sum(amount) AS amount,
      sum(octet_length(metadata::text)) AS metadata_bytes
    FROM orders WHERE org_id = $1 GROUP BY 1, 2, 3
  ), differences AS MATERIALIZED (
    SELECT day, currency, status, sum(orders) AS orders, sum(amount) AS amount, sum(metadata_bytes) AS metadata_bytes
    FROM (
      SELECT * FROM sums
      UNION ALL
      SELECT day, currency, status, -orders, -amount, -metadata_bytes FROM order_statistics WHERE org_id = $1
      UNION ALL
      SELECT day, currency, status, -orders, -amount, -metadata_bytes FROM order_statistics_changes WHERE org_id = $1
    ) AS both_sides GROUP BY day, currency, status
    HAVING sum(orders) <> 0 OR sum(amount) <> 0 OR sum(metadata_bytes) <> 0
  ), corrected AS (
    INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes)
    SELECT $1, day, currency, status, orders, amount, metadata_bytes FROM differences
  ) SELECT (SELECT coalesce(sum(orders), 0) FROM sums)::bigint AS orders,
    (SELECT count(*) FROM differences)::int AS differences

[
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > recordCounted > recordCounted 1`] = `
UPDATE order_statistics_backfill
    SET after_org = greatest(after_org, org_id), completed = completed OR org_id IS NULL
    FROM (SELECT $1::uuid) AS counted (org_id) WHERE only_row

[
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > recordEvent > recordEvent 1`] = `

    WITH changed AS (
      SELECT org_id, id, number, version, status, description, metadata FROM orders
      WHERE org_id = $1 AND id = $2
    ), event AS (
      INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
      SELECT org_id, number, version, $3, status, description, metadata FROM changed
    )
    INSERT INTO outbox (org_id, sequence, order_ids) SELECT org_id, version, ARRAY[id] FROM changed

[
 [
  "00000000-0000-7000-8000-000000000000",
  "a",
  "orders.order.placed.v1"
 ]
]
`

exports[`test/sql.test.ts > TAP > removeInactiveGuests > removeInactiveGuests 1`] = `
WITH examined AS (
        SELECT id, home_org_id, created_at FROM users
        WHERE id > $1 AND id < (SELECT uuidv7(make_interval(days => -($2::int))))
        ORDER BY id LIMIT $3),
      inactive AS (SELECT id, home_org_id FROM examined e WHERE uuid_extract_version(e.id) = 7 AND e.created_at < now() - make_interval(days => $2::int)),
      belongings AS (
        SELECT id AS user_id, home_org_id AS org_id FROM inactive
        UNION SELECT m.user_id, m.org_id FROM inactive JOIN memberships m ON m.user_id = inactive.id),
      shared AS (
        SELECT user_id FROM belongings b WHERE org_id = '00000000-0000-7000-8000-000000000000' OR EXISTS (
          SELECT FROM memberships m WHERE m.org_id = b.org_id AND NOT EXISTS (
            SELECT FROM users u WHERE u.id = m.user_id AND uuid_extract_version(u.id) = 7 AND u.created_at < now() - make_interval(days => $2::int)))
        UNION SELECT user_id FROM belongings b, LATERAL (
          SELECT FROM users u WHERE u.home_org_id = b.org_id AND NOT (uuid_extract_version(u.id) = 7 AND u.created_at < now() - make_interval(days => $2::int)) LIMIT 1)),
      removable AS (SELECT id FROM inactive WHERE id NOT IN (SELECT user_id FROM shared)),
      marked AS (
        INSERT INTO removed_organisations
        SELECT DISTINCT org_id FROM belongings b JOIN removable ON removable.id = b.user_id
        WHERE NOT EXISTS (SELECT FROM users u WHERE u.home_org_id = b.org_id AND u.id <> b.user_id)
        ON CONFLICT DO NOTHING),
      ended AS (DELETE FROM sessions WHERE user_id IN (SELECT id FROM removable) RETURNING 1),
      left_behind AS (DELETE FROM memberships WHERE user_id IN (SELECT id FROM removable) RETURNING 1),
      gone AS (DELETE FROM users WHERE id IN (SELECT id FROM removable) RETURNING 1)
    SELECT (SELECT count(*) FROM examined) AS examined, (SELECT max(id::text) FROM examined) AS last,
      (SELECT count(*) FROM gone) AS users, (SELECT count(*) FROM left_behind) AS memberships,
      (SELECT count(*) FROM ended) AS sessions

[
 "00000000-0000-7000-8000-000000000000",
 31,
 100
]
`

exports[`test/sql.test.ts > TAP > replaceKey > replaceKey 1`] = `

    UPDATE webhooks SET previous_key = key, previous_key_ends_at = now() + make_interval(hours => $1),
      key = $2, version = version + 1, updated_at = now()
    WHERE org_id = $3 AND id = $4 RETURNING id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at

[
 [
  24,
  {
   "type": "Buffer",
   "data": [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0
   ]
  },
  "00000000-0000-7000-8000-000000000000",
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > replayDeadLetter > replayDeadLetter 1`] = `
WITH gone AS (
      DELETE FROM dead_letters WHERE org_id = $1 AND id = $2 RETURNING id, org_id, order_id, sequence
    ), queued AS (
      INSERT INTO event_queue (lane, org_id, order_id, sequence) SELECT hashtext(org_id || order_id) & 63, org_id, order_id, sequence FROM gone
    )
    SELECT id FROM gone

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > resendDelivery > resendDelivery 1`] = `
UPDATE webhook_deliveries SET state = 'pending', due_at = now(), delivered_at = NULL,
      attempts = CASE state WHEN 'pending' THEN attempts ELSE 0 END
    WHERE org_id = $1 AND id = $2
      AND webhook_id IN (SELECT id FROM webhooks WHERE org_id = $1 AND enabled) RETURNING id, webhook_id, order_id, sequence, type, state, attempts,
  CASE WHEN state = 'pending' THEN due_at END AS due_at,
  last_status, last_reply, last_error, last_duration_ms, created_at, delivered_at

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > reserveLines > reserveLines 1`] = `
WITH reserved AS (
        INSERT INTO import_days (org_id, starts_at, lines)
        SELECT $1, date_trunc('day', now(), 'UTC'), $2::bigint WHERE $2::bigint <= $3::bigint
        ON CONFLICT (org_id, starts_at) DO UPDATE SET lines = import_days.lines + excluded.lines
          WHERE import_days.lines + excluded.lines <= $3::bigint
        RETURNING lines)
    SELECT (SELECT lines FROM reserved) AS reserved, coalesce((SELECT lines FROM import_days WHERE org_id = $1 AND starts_at = date_trunc('day', now(), 'UTC')), 0) AS before

[
 "00000000-0000-7000-8000-000000000000",
 500,
 1000
]
`

exports[`test/sql.test.ts > TAP > selectConflicts > selectConflicts 1`] = `
SELECT r.fingerprint, r.answer, CASE WHEN o.id IS NOT NULL THEN json_build_object('amount', o.amount, 'currency', o.currency,
    'project_id', o.project_id, 'description', e.description, 'metadata', e.metadata) END AS placed, o.id, o.org_id, o.project_id, o.amount, o.currency, o.status, o.description, o.metadata, o.created_at, o.updated_at, o.version
      FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
        AS n (id, route, principal, key, position)
      LEFT JOIN LATERAL (SELECT * FROM idempotency_records r
        WHERE r.org_id = $1 AND r.route = n.route AND r.principal = n.principal AND r.key = n.key LIMIT 1) r ON true
      LEFT JOIN LATERAL (SELECT * FROM orders o WHERE o.org_id = $1 AND o.id = n.id LIMIT 1) o ON true
      LEFT JOIN LATERAL (SELECT description, metadata FROM order_events e
        WHERE e.org_id = $1 AND e.order_number = o.number AND e.sequence = 1 LIMIT 1) e ON true
      ORDER BY n.position

[
 "00000000-0000-7000-8000-000000000000",
 [
  "a",
  "b"
 ],
 [
  "POST /orders",
  null
 ],
 [
  "someone",
  null
 ],
 [
  "key-of-a-request",
  null
 ]
]
`

exports[`test/sql.test.ts > TAP > selectDeadLetters > selectDeadLetters 1`] = `
SELECT id, order_id, sequence, attempts, reason, created_at FROM dead_letters
    WHERE org_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
    ORDER BY created_at DESC, id DESC LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 "2026-01-01 00:00:00.000001+00",
 "00000000-0000-7000-8000-000000000000",
 51
]
`

exports[`test/sql.test.ts > TAP > selectDeliveries > selectDeliveries 1`] = `
SELECT id, webhook_id, order_id, sequence, type, state, attempts,
  CASE WHEN state = 'pending' THEN due_at END AS due_at,
  last_status, last_reply, last_error, last_duration_ms, created_at, delivered_at FROM webhook_deliveries WHERE org_id = $1 AND webhook_id = $2 AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
    ORDER BY created_at DESC, id DESC LIMIT $5

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000",
 null,
 null,
 51
]
`

exports[`test/sql.test.ts > TAP > selectDelivery > selectDelivery 1`] = `
SELECT id, webhook_id, order_id, sequence, type, state, attempts,
  CASE WHEN state = 'pending' THEN due_at END AS due_at,
  last_status, last_reply, last_error, last_duration_ms, created_at, delivered_at FROM webhook_deliveries d WHERE org_id = $1 AND id = $2
    AND EXISTS (SELECT FROM webhooks w WHERE w.org_id = $1 AND w.id = d.webhook_id)

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectDeliveryLag > selectDeliveryLag 1`] = `
SELECT
      (SELECT count(*) FROM webhooks WHERE enabled AND first_failure_at IS NOT NULL)::int AS failing,
      coalesce(greatest(0, extract(epoch FROM clock_timestamp() - min(d.due_at))), 0)::float8 AS oldest_seconds
    FROM webhooks w, LATERAL (SELECT least(
        (SELECT due_at FROM webhook_deliveries d
          WHERE d.org_id = w.org_id AND d.webhook_id = w.id AND d.state = 'pending' ORDER BY due_at LIMIT 1),
        (SELECT created_at FROM webhook_fanouts f
          WHERE f.org_id = w.org_id AND f.webhook_id = w.id ORDER BY position LIMIT 1)) AS due_at) d
    WHERE w.enabled AND w.first_failure_at IS NULL

[]
`

exports[`test/sql.test.ts > TAP > selectEvents > selectEvents 1`] = `
SELECT o.id || '.' || e.sequence AS event_id, e.type, o.id, o.org_id, o.project_id, o.amount, o.currency,
        e.status, e.description, e.metadata, o.created_at, e.occurred_at AS updated_at, e.sequence AS version
      FROM orders o JOIN order_events e ON e.org_id = o.org_id AND e.order_number = o.number
      WHERE o.org_id = $1 AND o.id = $2 AND e.sequence > $3 ORDER BY e.sequence LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 "a",
 0,
 200
]
`

exports[`test/sql.test.ts > TAP > selectLag > selectLag 1`] = `
SELECT
      (SELECT coalesce(sum(events), 0) FROM (SELECT events FROM outbox LIMIT 1000000))::int AS outbox,
      (SELECT count(*) FROM (SELECT FROM event_queue LIMIT 1000000))::int AS queue,
      (SELECT count(*) FROM (SELECT FROM dead_letters LIMIT 1000000))::int AS dead_letters,
      greatest(0, extract(epoch FROM clock_timestamp() - least(
        (SELECT created_at FROM outbox ORDER BY id LIMIT 1),
        (SELECT min(queued_at) FROM event_lanes l,
          LATERAL (SELECT queued_at FROM event_queue q WHERE q.lane = l.lane ORDER BY id LIMIT 1))
      )))::float8 AS oldest_seconds

[]
`

exports[`test/sql.test.ts > TAP > selectMember > selectMember 1`] = `
SELECT m.user_id, u.name, m.role, m.created_at, m.updated_at
  FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 AND m.user_id = $2

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectMemberIds > selectMemberIds 1`] = `
select "user_id" from "memberships" where "org_id" = $1 order by "user_id"

[
 [
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > selectMembers > selectMembers 1`] = `
SELECT * FROM (SELECT m.user_id, u.name, m.role, m.created_at, m.updated_at
  FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1) AS members WHERE ($2::timestamptz IS NULL OR (created_at, user_id) < ($2, $3::uuid)) ORDER BY created_at DESC, user_id DESC LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 null,
 null,
 51
]
`

exports[`test/sql.test.ts > TAP > selectNextUser > selectNextUser 1`] = `
SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT 1

[
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectOrders > selectOrders 1`] = `
SELECT id, org_id, project_id, amount, currency, status, description, metadata, created_at, updated_at, version FROM orders WHERE org_id = $1 AND id = ANY($2)

[
 "00000000-0000-7000-8000-000000000000",
 [
  "a",
  "b"
 ]
]
`

exports[`test/sql.test.ts > TAP > selectOrdersUse > selectOrdersUse 1`] = `

  SELECT greatest(sum(orders), 0)::bigint AS orders, greatest(sum(metadata_bytes - 2 * orders), 0)::bigint AS metadata_bytes
  FROM (SELECT orders, metadata_bytes FROM order_statistics WHERE org_id = $1
    UNION ALL SELECT orders, metadata_bytes FROM order_statistics_changes WHERE org_id = $1)

[
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectOrg > selectOrg 1`] = `
SELECT id, name, slug, created_at, updated_at FROM organisations WHERE id = $1

[
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectOwnOrgs > selectOwnOrgs 1`] = `
SELECT id, name, slug, created_at, updated_at, role FROM (
        SELECT o.*, m.role FROM organisations o JOIN memberships m ON m.org_id = o.id WHERE m.user_id = $1) AS own
      WHERE ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid)) ORDER BY created_at DESC, id DESC LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 "2026-01-01 00:00:00.000001+00",
 "00000000-0000-7000-8000-000000000000",
 51
]
`

exports[`test/sql.test.ts > TAP > selectPage > selectPage 1`] = `
select "id", "org_id", "project_id", "amount", "currency", "status", "description", "metadata", "created_at", "updated_at", "version" from "orders" where "org_id" = $1 order by "created_at" desc, "id" desc limit $2

[
 "00000000-0000-7000-8000-000000000000",
 51
]
`

exports[`test/sql.test.ts > TAP > selectPage with everything > selectPage with everything 1`] = `
select "id", "org_id", "project_id", "amount", "currency", "status", "description", "metadata", "created_at", "updated_at", "version" from "orders" where "org_id" = $1 and "status" = $2 and "currency" = $3 and "project_id" = $4 and "created_at" >= $5 and "created_at" < $6 and "amount" >= $7 and "amount" <= $8 and ("id" like $9 or "description" ilike $10) and (created_at, id) < ($11::timestamptz, $12) order by "created_at" desc, "id" desc limit $13

[
 "00000000-0000-7000-8000-000000000000",
 "placed",
 "EUR",
 "00000000-0000-7000-8000-000000000000",
 "2026-01-01 00:00:00.000001+00",
 "2026-01-01 00:00:00.000001+00",
 "1",
 "2",
 "50\\\\%\\\\_off\\\\\\\\%",
 "%50\\\\%\\\\_off\\\\\\\\%",
 "2026-01-01 00:00:00.000001+00",
 "a",
 51
]
`

exports[`test/sql.test.ts > TAP > selectPlaced > selectPlaced 1`] = `
SELECT CASE WHEN o.id IS NOT NULL THEN json_build_object('amount', o.amount, 'currency', o.currency,
    'project_id', o.project_id, 'description', e.description, 'metadata', e.metadata) END AS placed FROM unnest($2::text[]) WITH ORDINALITY AS n (id, position)
      LEFT JOIN LATERAL (SELECT * FROM orders o WHERE o.org_id = $1 AND o.id = n.id LIMIT 1) o ON true
      LEFT JOIN LATERAL (SELECT description, metadata FROM order_events e
        WHERE e.org_id = $1 AND e.order_number = o.number AND e.sequence = 1 LIMIT 1) e ON true
      ORDER BY n.position

[
 "00000000-0000-7000-8000-000000000000",
 [
  "a",
  "b"
 ]
]
`

exports[`test/sql.test.ts > TAP > selectProject > selectProject 1`] = `
SELECT org_id, id, name, slug, created_at, updated_at FROM projects WHERE org_id = $1 AND id = $2

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectProjectIds > selectProjectIds 1`] = `
SELECT id FROM projects WHERE org_id = $1 AND id = ANY ($2::uuid[])

[
 "00000000-0000-7000-8000-000000000000",
 [
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > selectProjects > selectProjects 1`] = `
SELECT org_id, id, name, slug, created_at, updated_at FROM projects WHERE org_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid)) ORDER BY created_at DESC, id DESC LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 null,
 null,
 51
]
`

exports[`test/sql.test.ts > TAP > selectQueued > selectQueued 1`] = `
SELECT q.id AS queue_id, q.attempts, coalesce(q.retry_at > clock_timestamp(), false) AS waits, e.type,
        o.id, o.org_id, o.project_id, o.amount, o.currency, e.status, e.description, e.metadata, o.created_at,
        e.occurred_at AS updated_at, e.sequence AS version
      FROM (
        SELECT q.* FROM unnest($1::int[]) AS held (lane),
          LATERAL (
          WITH RECURSIVE waiting AS (
            (SELECT org_id, id FROM event_queue WHERE lane = held.lane ORDER BY org_id, id LIMIT 1)
            UNION ALL
            SELECT following.* FROM waiting w, LATERAL (
              SELECT org_id, id FROM event_queue q WHERE q.lane = held.lane AND q.org_id > w.org_id
              ORDER BY q.org_id, q.id LIMIT 1) following
          )
          SELECT offered.* FROM waiting w, LATERAL (
            SELECT *, row_number() OVER (ORDER BY q.id) AS turn FROM event_queue q
            WHERE q.lane = held.lane AND q.org_id = w.org_id AND q.id >= w.id ORDER BY q.id LIMIT $2) offered
          ORDER BY turn, id LIMIT $2) q
      ) q, LATERAL (SELECT * FROM orders WHERE org_id = q.org_id AND id = q.order_id LIMIT 1) o, LATERAL (SELECT * FROM order_events
    WHERE org_id = o.org_id AND order_number = o.number AND sequence = q.sequence LIMIT 1) e
      ORDER BY q.id

[
 [
  3
 ],
 25
]
`

exports[`test/sql.test.ts > TAP > selectStatistics > selectStatistics 1`] = `
WITH state AS MATERIALIZED (
        SELECT completed FROM order_statistics_backfill WHERE only_row
      ), read AS (
        SELECT * FROM unnest($4::int[], $5::timestamptz[], $6::timestamptz[]) AS part (sign, first, last)
        WHERE (SELECT completed FROM state)
        UNION ALL
        SELECT 1, $7::timestamptz, $8::timestamptz WHERE NOT (SELECT completed FROM state)
      ), latest AS MATERIALIZED (
        SELECT day, currency, status, sum(orders)::bigint AS orders, sum(amount) AS amount FROM (
          SELECT day, currency, status, orders, amount FROM order_statistics_changes
          WHERE org_id = $1 AND day >= $2 AND day < $3 AND (SELECT completed FROM state)
          UNION ALL
          SELECT (o.created_at AT TIME ZONE 'UTC')::date, o.currency, o.status, sign, sign * o.amount
          FROM read JOIN orders o ON o.org_id = $1 AND o.created_at >= first AND o.created_at < last
        ) AS changes GROUP BY day, currency, status
      ), counted AS (
        (SELECT r.day, r.currency, r.status, r.orders + coalesce(l.orders, 0) AS orders,
          CASE WHEN l.amount IS NULL THEN r.amount ELSE r.amount + l.amount END AS amount
        FROM order_statistics r LEFT JOIN latest l USING (day, currency, status)
        WHERE r.org_id = $1 AND r.day >= $2 AND r.day < $3 AND (SELECT completed FROM state)
        ORDER BY day, currency, status)
        UNION ALL
        (SELECT * FROM latest l WHERE NOT EXISTS (
          SELECT FROM order_statistics r WHERE r.org_id = $1 AND r.day >= $2 AND r.day < $3
            AND r.day = l.day AND r.currency = l.currency AND r.status = l.status AND (SELECT completed FROM state))
        ORDER BY day, currency, status)
        ORDER BY day, currency, status
      )
      SELECT '[' || coalesce(string_agg(concat('{"day":"', day, '","currency":', to_json(currency), ',"status":"', status,
        '","count":', orders, ',"sum":"', trim_scale(amount), '"}'), ',' ORDER BY day, currency, status), '') || ']' AS data
      FROM counted WHERE orders <> 0

[
 "00000000-0000-7000-8000-000000000000",
 "2026-01-02",
 "2026-01-03",
 [
  -1
 ],
 [
  "2026-01-01 00:00:00.000001+00"
 ],
 [
  "2026-01-01 00:00:00.000001+00"
 ],
 "2026-01-01 00:00:00.000001+00",
 "2026-01-01 00:00:00.000001+00"
]
`

exports[`test/sql.test.ts > TAP > selectStatisticsBacklog > selectStatisticsBacklog 1`] = `
SELECT count(*)::int AS waiting FROM (SELECT org_id FROM order_statistics_changes LIMIT 1000000)

[]
`

exports[`test/sql.test.ts > TAP > selectUncounted > selectUncounted 1`] = `
SELECT (SELECT org_id FROM orders WHERE org_id > b.after_org ORDER BY org_id LIMIT 1) AS org_id
    FROM order_statistics_backfill b WHERE b.only_row AND NOT b.completed

[]
`

exports[`test/sql.test.ts > TAP > selectUse > selectUse 1`] = `
SELECT orders, metadata_bytes AS "metadata-bytes",
      (SELECT count(*) FROM projects WHERE org_id = $1) AS projects,
      (SELECT count(*) FROM memberships WHERE org_id = $1) AS members,
      (SELECT count(*) FROM webhooks WHERE org_id = $1) AS webhooks,
      coalesce((SELECT lines FROM import_days WHERE org_id = $1 AND starts_at = date_trunc('day', now(), 'UTC')), 0) AS "import-lines"
      FROM (
  SELECT greatest(sum(orders), 0)::bigint AS orders, greatest(sum(metadata_bytes - 2 * orders), 0)::bigint AS metadata_bytes
  FROM (SELECT orders, metadata_bytes FROM order_statistics WHERE org_id = $1
    UNION ALL SELECT orders, metadata_bytes FROM order_statistics_changes WHERE org_id = $1)) AS use

[
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectWebhook > selectWebhook 1`] = `
SELECT id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at FROM webhooks WHERE org_id = $1 AND id = $2

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
]
`

exports[`test/sql.test.ts > TAP > selectWebhooks > selectWebhooks 1`] = `
SELECT id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at FROM webhooks WHERE org_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
    ORDER BY created_at DESC, id DESC LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 "2026-01-01 00:00:00.000001+00",
 "00000000-0000-7000-8000-000000000000",
 51
]
`

exports[`test/sql.test.ts > TAP > updateOrder > updateOrder 1`] = `
update "orders" set "status" = $1, "version" = "version" + $2, "updated_at" = now() where "org_id" = $3 and "id" = $4 returning "id", "org_id", "project_id", "amount", "currency", "status", "description", "metadata", "created_at", "updated_at", "version"

[
 [
  "confirmed",
  1,
  "00000000-0000-7000-8000-000000000000",
  "a"
 ]
]
`

exports[`test/sql.test.ts > TAP > updateOrder with everything > updateOrder with everything 1`] = `
update "orders" set "status" = $1, "description" = $2, "metadata" = $3, "version" = "version" + $4, "updated_at" = now() where "org_id" = $5 and "id" = $6 returning "id", "org_id", "project_id", "amount", "currency", "status", "description", "metadata", "created_at", "updated_at", "version"

[
 [
  "x",
  null,
  "{}",
  1,
  "00000000-0000-7000-8000-000000000000",
  "a"
 ]
]
`

exports[`test/sql.test.ts > TAP > updateOrg > updateOrg 1`] = `
SELECT set_config('lock_timeout', $1, true);
update "organisations" set "name" = $1, "slug" = $2, "updated_at" = now() where "id" = $3 returning *

[
 [
  "100"
 ],
 [
  "Lamps",
  "lamps",
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > updateProject > updateProject 1`] = `
UPDATE projects SET name = $3, slug = $4, updated_at = now() WHERE org_id = $1 AND id = $2
    RETURNING org_id, id, name, slug, created_at, updated_at

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000",
 "Lamps",
 "lamps"
]
`

exports[`test/sql.test.ts > TAP > updateWebhook > updateWebhook 1`] = `

    UPDATE webhooks SET version = version + 1, updated_at = now(),
      url = coalesce($1, url),
      description = CASE WHEN $2 THEN description ELSE $3 END,
      event_types = CASE WHEN $4 THEN event_types ELSE $5::text[] END,
      enabled = coalesce($6, enabled),
      disabled_reason = CASE $7::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_reason, 'paused')
        ELSE disabled_reason END,
      disabled_at = CASE $8::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_at, now())
        ELSE disabled_at END,
      first_failure_at = CASE WHEN $9::boolean THEN NULL ELSE first_failure_at END
    WHERE org_id = $10 AND id = $11 RETURNING id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at

[
 [
  null,
  true,
  null,
  true,
  null,
  false,
  false,
  false,
  false,
  "00000000-0000-7000-8000-000000000000",
  "00000000-0000-7000-8000-000000000000"
 ]
]
`

exports[`test/sql.test.ts > TAP > upsertMembership > upsertMembership 1`] = `

    INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, $3)
    ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role, updated_at = now()
    RETURNING xmax = 0 AS created

[
 [
  "00000000-0000-7000-8000-000000000000",
  "00000000-0000-7000-8000-000000000000",
  "viewer"
 ]
]
`
