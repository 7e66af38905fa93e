-- Runs once, when the volume `database` is new. The users of gitops/README.md, without passwords: see compose.yaml.
CREATE ROLE orders_app NOLOGIN;
CREATE ROLE orders_worker NOLOGIN;
CREATE ROLE orders LOGIN CREATEROLE;
CREATE ROLE orders_api LOGIN;
CREATE ROLE orders_worker_login LOGIN;
GRANT orders_app TO orders, orders_api, orders_worker_login;
GRANT orders_worker TO orders, orders_worker_login;
ALTER DATABASE orders OWNER TO orders;
-- The migration cannot: only a superuser can.
DO $$
DECLARE
  large_object regprocedure;
BEGIN
  FOR large_object IN
    SELECT oid FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_.+|loread|lowrite)$'
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', large_object);
  END LOOP;
END $$;
