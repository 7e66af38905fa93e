/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
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
    INSERT INTO outbox (org_id, order_id, sequence) SELECT org_id, id, 1 FROM placed
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
    INSERT INTO outbox (org_id, order_id, sequence) SELECT org_id, id, 1 FROM placed
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

exports[`test/sql.test.ts > TAP > recordEvent > recordEvent 1`] = `

    WITH changed AS (
      SELECT org_id, id, number, version, status, description, metadata FROM orders
      WHERE org_id = $1 AND id = $2
    ), event AS (
      INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
      SELECT org_id, number, version, $3, status, description, metadata FROM changed
    )
    INSERT INTO outbox (org_id, order_id, sequence) SELECT org_id, id, version FROM changed

[
 [
  "00000000-0000-7000-8000-000000000000",
  "a",
  "orders.order.placed.v1"
 ]
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

exports[`test/sql.test.ts > TAP > selectMember > selectMember 1`] = `
SELECT m.user_id, u.name, m.role, m.created_at, m.updated_at
  FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 AND m.user_id = $2

[
 "00000000-0000-7000-8000-000000000000",
 "00000000-0000-7000-8000-000000000000"
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

exports[`test/sql.test.ts > TAP > selectProjects > selectProjects 1`] = `
SELECT org_id, id, name, slug, created_at, updated_at FROM projects WHERE org_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid)) ORDER BY created_at DESC, id DESC LIMIT $4

[
 "00000000-0000-7000-8000-000000000000",
 null,
 null,
 51
]
`

exports[`test/sql.test.ts > TAP > selectStats > selectStats 1`] = `
SELECT (created_at AT TIME ZONE 'UTC')::date::text AS day, currency, status,
        count(*) AS count, sum(amount)::text AS sum
      FROM orders WHERE org_id = $1 AND created_at >= $2 AND created_at < $3
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

[
 "00000000-0000-7000-8000-000000000000",
 "2026-01-01 00:00:00.000001+00",
 "2026-01-01 00:00:00.000001+00"
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
update "organisations" set "name" = $1, "slug" = $2, "updated_at" = now() where "id" = $3 returning *

[
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
