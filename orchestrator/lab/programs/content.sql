-- For psql: what a database holds, as one line of JSON. Of each table the number of its rows, and a sum over all of them
-- that does not depend on their order. The same content gives the same line, on any machine and version of PostgreSQL.
SET TimeZone TO 'UTC';
SET DateStyle TO 'ISO, YMD';
SET IntervalStyle TO 'iso_8601';
SET extra_float_digits TO 1;
SET bytea_output TO 'hex';
SELECT coalesce(
    string_agg(
        format(
            'SELECT %L AS name, count(*) AS rows, '
            'coalesce(sum((''x'' || substr(md5(t::text), 1, 15))::bit(60)::bigint::numeric), 0)::text AS sum FROM %I.%I AS t',
            format('%I.%I', n.nspname, c.relname), n.nspname, c.relname
        ), ' UNION ALL '
    ), 'SELECT '''' AS name, 0 AS rows, '''' AS sum WHERE false'
) AS content_of_every_table
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
\gset
SELECT coalesce(json_object_agg(name, json_build_object('rows', rows, 'sum', sum) ORDER BY name), '{}'::json)
FROM (:content_of_every_table) AS every_table;
