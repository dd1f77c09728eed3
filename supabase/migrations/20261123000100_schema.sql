-- The private schema: tables behind the public views, helpers, and nothing that the API exposes.

create extension if not exists pgmq;

create schema pm_strength;
comment on schema pm_strength is 'PM Strength''s own tables and helpers; not exposed by the API.';

revoke all on schema pm_strength from public;
grant usage on schema pm_strength to authenticated, service_role;

-- Anyone may sign up, so being signed in grants nothing: reading takes a claim that only the
-- project's owner can set (users can edit user_metadata, never app_metadata).
create function pm_strength.may_read() returns boolean
language sql stable
set search_path = ''
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'app_metadata' ->> 'pm_strength' = 'read',
    false
  )
$$;
comment on function pm_strength.may_read() is
  'True if the caller''s JWT has app_metadata.pm_strength = ''read''.';
revoke execute on function pm_strength.may_read() from public, anon;
grant execute on function pm_strength.may_read() to authenticated, service_role;

-- Row level security turns a caller without the claim away without a word. A function can say why.
create function pm_strength.require_reader() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if current_user = 'authenticated' and not pm_strength.may_read() then
    raise insufficient_privilege using
      message = 'not allowed to read PM Strength',
      hint = 'The user''s app_metadata needs "pm_strength": "read".';
  end if;
end
$$;
comment on function pm_strength.require_reader() is
  'Raises insufficient_privilege for a signed-in user without the read claim.';
revoke execute on function pm_strength.require_reader() from public, anon;
grant execute on function pm_strength.require_reader() to authenticated, service_role;
