"""Tenants as their members see them: organisations, the plan, how they look; and their workspaces."""

import uuid

from miosa import errors

from world import TENANT, WORLD, client_of, done, refused, run, token_of


async def organizations(mode, kind, owner, people):
    """`organizations`: those of the caller, the current one, another one."""
    listed = await done(owner.organizations.list())
    assert [one["slug"] for one in listed] == ["acme"], listed
    acme = listed[0]
    assert acme["id"] == TENANT and acme["name"] == "Acme Corp" and acme["role"] == "owner", acme
    current = await done(owner.organizations.current())
    assert current["id"] == TENANT and current["slug"] == "acme", current
    if kind == "key":
        refusal = lambda: owner.organizations.switch("acme")
        await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")
    else:
        switched = await done(owner.organizations.switch("acme"))
        assert switched["tenant"]["id"] == TENANT and switched["token"] is None, switched
        for other in ["nowhere", WORLD["foreign_tenant"]]:
            nobody = client_of(mode, WORLD["owner"][kind], tenant=None)
            refusal = lambda: nobody.organizations.switch(other)
            await refused(refusal, errors.OrgNotFoundError, 404, "ORG_NOT_FOUND")

    # somebody of two organisations has to say which
    person = people[0]
    nowhere = client_of(mode, person["credential"], tenant=None)
    await refused(lambda: nowhere.organizations.current(), errors.OrgNotFoundError, 404, "ORG_NOT_FOUND")
    made = await done(owner.organizations.invites.create(TENANT, email=person["email"]))
    await done(nowhere.organizations.invites.accept(token_of(made["invite_url"])))
    assert (await done(nowhere.organizations.current()))["slug"] == "acme"
    await done(nowhere.org_invites.accept(person["globex_token"]))
    await refused(lambda: nowhere.workspaces.list(), errors.AmbiguousOrgError, 409, "AMBIGUOUS_ORG")
    assert {one["slug"] for one in await done(nowhere.organizations.list())} == {"acme", "globex"}
    named = client_of(mode, person["credential"], tenant="globex")
    assert (await done(named.organizations.current()))["slug"] == "globex"


async def white_label(mode, kind, owner, people):
    """`tenant`: plan, branding and domain come from files, and are read here."""
    plan = await done(owner.tenant.current())
    assert plan["id"] and plan["name"] and isinstance(plan["limits"], dict), plan
    looks = await done(owner.tenant.branding.get())
    assert looks["name"] == "Acme Corp" and looks["primary_color"] == "#0a7d5a", looks
    assert looks["support_email"] == "help@acme.test", looks
    domain = await done(owner.tenant.preview_domain.get())
    assert domain["domain"] == "app.acme.test" and domain["status"] == "configured", domain
    assert (await done(owner.tenant.preview_domain.verify()))["verified"] is True
    for write in [
        lambda: owner.tenant.branding.set({"name": "Other"}),
        lambda: owner.tenant.branding.delete(),
        lambda: owner.tenant.preview_domain.set("app.other.test"),
        lambda: owner.tenant.preview_domain.delete(),
    ]:
        await refused(write, errors.MiosaError, 409, "MANAGED_BY_CONFIG")
    stranger = client_of(mode, people[1]["credential"])
    await refused(lambda: stranger.tenant.branding.get(), errors.NotFoundError, 404, "NOT_FOUND")
    await refused(lambda: stranger.tenant.branding.delete(), errors.NotFoundError, 404, "NOT_FOUND")


async def workspaces(mode, kind, owner, people):
    """`workspaces`: made, found, renamed, found by the customer's own id, deleted."""
    name = f"Ward {uuid.uuid4().hex[:8]}"
    made = await done(owner.workspaces.create(name=name, description="second floor", metadata={"floor": "2"}))
    assert made.name == name and made.tenant_id == TENANT and made.description == "second floor", made
    assert made.metadata == {"floor": "2"} and made.created_at.tzinfo and not made.reused, made
    assert (await done(owner.workspaces.get(made.id))).name == name
    assert made.id in [one.id for one in await done(owner.workspaces.list())]
    renamed = await done(owner.workspaces.update(made.id, name=f"{name} east", metadata={}))
    assert renamed.name == f"{name} east" and not renamed.metadata, renamed
    assert renamed.description == "second floor", "what is not sent stays"
    # an invite shows the new name at once
    invited = await done(owner.workspace_invites.create(made.id, email=people[2]["email"]))
    token = token_of(invited["data"]["invite_url"])
    assert (await done(owner.workspace_invites.preview(token)))["workspace_name"] == f"{name} east"
    await done(owner.workspaces.update(made.id, name=f"{name} west"))
    assert (await done(owner.workspace_invites.preview(token)))["workspace_name"] == f"{name} west"

    taken = await refused(
        lambda: owner.workspaces.create(name=f"{name} west"),
        errors.WorkspaceNameExistsError, 409, "WORKSPACE_NAME_EXISTS",
    )
    assert taken.body["error"]["existing"]["id"] == made.id, taken.body
    twin = await done(owner.workspaces.create(name=f"{name} west", allow_duplicate_name=True))
    assert twin.id != made.id
    external = f"cust_{uuid.uuid4().hex}"
    first = await done(owner.workspaces.create(name=f"{name} x", external_workspace_id=external))
    second = await done(owner.workspaces.create(name=f"{name} y", external_workspace_id=external))
    assert second.reused is True and second.id == first.id and second.name == first.name, second

    stranger = client_of(mode, people[2]["credential"])
    await refused(lambda: stranger.workspaces.get(made.id), errors.NotFoundError, 404, "NOT_FOUND")
    await refused(lambda: owner.workspaces.get(str(uuid.uuid4())), errors.NotFoundError, 404, "NOT_FOUND")
    await refused(lambda: owner.workspaces.get("ward"), errors.ValidationError, 400, "INVALID_ID")
    refusal = lambda: owner.workspaces.delete(WORLD["workspace"])
    await refused(refusal, errors.MiosaError, 409, "MANAGED_BY_CONFIG")
    assert not await done(owner.workspaces.delete(made.id))
    await refused(lambda: owner.workspaces.get(made.id), errors.NotFoundError, 404, "NOT_FOUND")
    assert await done(owner.workspace_invites.preview(token)) is None, "its invites went along"
    for one in [twin, first]:
        await done(owner.workspaces.delete(one.id))


run(organizations, white_label, workspaces)
