-- ad_strands: the bot's own log. We make it only if it is missing. An existing table keeps its columns, rows
-- and RLS, and gets our indexes.

do $$
begin
  if to_regclass('public.ad_strands') is not null then
    return;
  end if;

  create table public.ad_strands (
    id text primary key default gen_random_uuid()::text,
    module text not null,
    kind text not null,
    symbol text,
    timeframe text,
    position_id text,
    -- text, not uuid: a strand with a bad trade_id must be kept and reported, not refused.
    trade_id text,
    content jsonb not null default '{}',
    created_at timestamptz not null default now()
  );
  comment on table public.ad_strands is
    'What the modules said: pm_action and position_closed strands are learned from.';
  comment on column public.ad_strands.id is 'The strand; inserting an id twice is refused.';
  comment on column public.ad_strands.module is 'Who said it, such as pm.';
  comment on column public.ad_strands.kind is 'What it is: pm_action, position_closed or another kind.';
  comment on column public.ad_strands.symbol is 'The traded symbol.';
  comment on column public.ad_strands.timeframe is 'The timeframe that was traded.';
  comment on column public.ad_strands.position_id is 'The position that it belongs to.';
  comment on column public.ad_strands.trade_id is 'The trade (uuid); content.trade_id where it is null.';
  comment on column public.ad_strands.content is 'The strand''s payload.';
  comment on column public.ad_strands.created_at is 'When it was said.';

  alter table public.ad_strands enable row level security;
  revoke all on public.ad_strands from anon, authenticated;
  grant all on public.ad_strands to service_role;
end
$$;

-- With an enum that lacks our kinds the migrations would pass, and every sweep would fail.
do $$
declare
  kind_type constant regtype := (
    select atttypid from pg_catalog.pg_attribute
    where attrelid = 'public.ad_strands'::regclass and attname = 'kind' and not attisdropped
  );
  word text;
begin
  if (select t.typtype from pg_catalog.pg_type t where t.oid = kind_type) = 'e' then
    foreach word in array array['pm_action', 'position_closed'] loop
      if not exists (select from pg_catalog.pg_enum e where e.enumtypid = kind_type and e.enumlabel = word) then
        raise invalid_text_representation using
          message = format('ad_strands.kind: expected a type that has %L, got the enum %s without it', word, kind_type),
          hint = format('alter type %s add value %L;', kind_type, word);
      end if;
    end loop;
  end if;
end
$$;

-- An existing table may differ: the id may be text, uuid or bigint, kind and module may be enums, content may
-- be json, and trade_id may be missing. All our SQL reads strands through the view below; the view and its
-- indexes are built to fit the table.
-- The indexes hold 64 characters of a trade id and 500 of an id (longer ones are bad): a btree refuses long
-- values, and an index of ours must never refuse a bot's insert.
do $$
declare
  column_trade constant text := case
    when exists (
      select from pg_catalog.pg_attribute
      where attrelid = 'public.ad_strands'::regclass and attname = 'trade_id' and not attisdropped
    ) then 'trade_id::text' else 'null::text'
  end;
  -- orders a text id byte by byte, whatever the collation of the database
  native_id constant text := case
    when (
      select atttypid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)
      from pg_catalog.pg_attribute
      where attrelid = 'public.ad_strands'::regclass and attname = 'id' and not attisdropped
    ) then 'id collate "C"' else 'id'
  end;
  content_type constant text := (
    select atttypid::regtype::text
    from pg_catalog.pg_attribute
    where attrelid = 'public.ad_strands'::regclass and attname = 'content' and not attisdropped
  );
  created_type constant text := (
    select atttypid::regtype::text from pg_catalog.pg_attribute
    where attrelid = 'public.ad_strands'::regclass and attname = 'created_at' and not attisdropped
  );
  -- Python has the years 1 to 9999 alone; a time without an offset is UTC
  said_at constant text := case when created_type in (
    'timestamp with time zone', 'timestamp without time zone', 'date'
  ) then format(
    $said$case when created_at between '0001-01-01 00:00Z' and '9999-12-31 23:59:59.999999Z' then %s end$said$,
    case created_type
      when 'timestamp with time zone' then 'created_at' else $utc$created_at::timestamp at time zone 'UTC'$utc$
    end
  ) else 'null::timestamptz' end;
  column_key constant text := format('replace(lower(left(%s, 64)), ''-'', '''')', column_trade);
  content_key constant text := $key$replace(lower(left(content ->> 'trade_id', 64)), '-', '')$key$;
  -- jsonb stores 1e100000 in a few bytes but writes it with 100,000. Finding out by writing would be slow
  wide constant text := $wide$jsonb_path_exists(
    %s, '$.** ? (@.type() == "number" && (@ > 1e1000 || @ < -1e1000 || (@ != 0 && @ < 1e-1000 && @ > -1e-1000)))'
  )$wide$;
  ours constant text := $kinds$kind in ('pm_action', 'position_closed')$kinds$;
begin
  execute format(
    'create view pm_strength.strands as
     select (id::text) collate "C" as id, left(id::text, 500) collate "C" as id_key, %s as native_id, module::text as module, kind::text as kind,
       kind as native_kind, created_at, %s as said_at,
       content, coalesce(pg_column_size(content), 0) as bytes,
       pg_column_size(content) <= 2000 and pg_column_compression(content) is null
         and %s_typeof(content) = ''object'' and not %s as short_object,
       %s as plain_content,
       %s as trade_id, %s as column_key, %s as content_key
     from public.ad_strands
     where %s',
    native_id, said_at, content_type, case content_type when 'jsonb' then format(wide, 'content') else 'false' end,
    -- unpacked once; json may repeat a key, and keeps numbers as they were written
    case content_type
      when 'jsonb' then $plain$case
        when pg_column_size(content) > 4000 then null
        when pg_column_compression(content) is null then content
        else content || '{}'::jsonb
      end$plain$
      else 'null::jsonb'
    end,
    column_trade, column_key, content_key, ours
  );
  execute format(
    'create function pm_strength.needed(content %1$s) returns %1$s
     language sql immutable
     set search_path = ''''
     as $body$
       select case
         when %3$s then %1$s_build_object(''too_long'', true)
         else %1$s_build_object(
           ''trade_id'', d.doc -> ''trade_id'', ''trade_summary'', d.doc -> ''trade_summary'',
           ''entry_context'', d.doc -> ''entry_context'', ''pattern_key'', d.doc -> ''pattern_key'',
           ''action_category'', d.doc -> ''action_category'', ''scope'', d.doc -> ''scope''
         )
       end
       from (select %2$s as doc offset 0) d
       where %1$s_typeof(d.doc) = ''object''
     $body$',
    content_type,
    case content_type when 'jsonb' then 'content || ''{}''::jsonb' else 'content' end,
    case content_type when 'jsonb' then format(
      wide, $doc$jsonb_build_array(d.doc -> 'trade_summary', d.doc -> 'entry_context', d.doc -> 'scope')$doc$
    ) else 'false' end
  );
  execute format(
    'comment on function pm_strength.needed(%1$s) is %2$L;
     revoke execute on function pm_strength.needed(%1$s) from public, anon, authenticated',
    content_type,
    'The fields of a long content that capture needs. Unpacks the content once, where each access to a field would unpack it again. Null if it is not an object, {too_long} if its numbers are too long to write.'
  );
  -- The id comes first. A look-up knows no kind: "kind in (...)" follows from the condition of the index, so the
  -- planner drops it, and before version 18 Postgres would read the whole index.
  execute format(
    'create index if not exists ad_strands_pm_id on public.ad_strands ((left(id::text, 500) collate "C"), kind) where %s',
    ours
  );
  execute format(
    'create index if not exists ad_strands_pm_content_trade on public.ad_strands ((%s)) where %s',
    content_key, ours
  );
  if column_trade <> 'null::text' then
    execute format(
      'create index if not exists ad_strands_pm_column_trade on public.ad_strands ((%s)) where %s',
      column_key, ours
    );
  end if;
end
$$;
comment on view pm_strength.strands is
  'The strands that are learned from, with their ids as text and their trade keys as the indexes hold them. said_at: created_at as a time that every reader has, else null. bytes: the size of content on disk. short_object: content is an object of at most 2,000 bytes. plain_content: content of at most 4,000 bytes, as jsonb.';
revoke all on pm_strength.strands from public, anon, authenticated;
