"""The life of invites of both kinds, and every refusal on the way."""

import asyncio
import time
import uuid

from miosa import errors

from world import TENANT, WORKSPACE, WORLD, client_of, done, refused, run, token_of


async def expiring(client, path, email):
    """An invite that lives for a second; the SDK has no parameter for it, so its transport is asked."""
    body = {"email": email, "expires_in": 1}
    made = await done(client._transport.request("POST", path, json_body=body))
    return token_of(made["data"]["invite_url"])


async def until_expired(preview, token):
    """Waits out the second."""
    deadline = time.monotonic() + 10
    while not (await done(preview(token)))["expired"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def workspace_life(mode, owner, people):
    """Workspace invites: create, list, preview, accept, revoke, and each refusal."""
    invites = owner.workspace_invites
    first, second, third = people
    made = await done(invites.create(WORKSPACE, email=first["email"], role="viewer"))
    assert made["type"] == "invited", made
    data = made["data"]
    assert data["workspace_id"] == WORKSPACE and data["tenant_id"] == TENANT and data["role"] == "viewer", data
    assert data["accepted_at"] is None and data["inserted_at"], data
    again = await done(invites.create(WORKSPACE, email=first["email"].upper(), role="member"))
    assert again["data"]["id"] == data["id"] and again["data"]["role"] == "member", again
    listed = await done(invites.list(WORKSPACE))
    assert data["id"] in [one["id"] for one in listed], listed

    token = token_of(data["invite_url"])
    shown = await done(invites.preview(token))
    assert shown["workspace_name"] == "Dr. Smith Clinic" and shown["role"] == "member", shown
    assert shown["expired"] is False and shown["accepted"] is False and shown["revoked"] is False, shown
    assert await done(invites.preview("no-token")) is None

    invitee, other = client_of(mode, first["credential"]), client_of(mode, second["credential"])
    await refused(lambda: other.workspace_invites.accept(token), errors.ValidationError, 422, "EMAIL_MISMATCH")
    accepted = await done(invitee.workspace_invites.accept(token))
    assert accepted["accepted"] is True and accepted["workspace_id"] == WORKSPACE, accepted
    assert accepted["tenant_id"] == TENANT and accepted["role"] == "member", accepted
    twice = await refused(
        lambda: invitee.workspace_invites.accept(token), errors.MiosaError, 409, "ALREADY_ACCEPTED"
    )
    assert twice.details["accepted_by_you"] is True and twice.details["workspace_id"] == WORKSPACE, twice.details
    await refused(lambda: invites.revoke(WORKSPACE, data["id"]), errors.MiosaError, 409, "ALREADY_ACCEPTED")
    added = await done(invites.create(WORKSPACE, email=first["email"], role="admin"))
    assert added["type"] == "added" and added["data"]["role"] == "member", "unchanged"

    await refused(lambda: other.workspace_invites.accept("no-token"), errors.NotFoundError, 404, "INVALID_TOKEN")
    made = await done(invites.create(WORKSPACE, email=second["email"]))
    gone = await done(invites.revoke(WORKSPACE, made["data"]["id"]))
    assert gone == {"invite_id": made["data"]["id"], "revoked": True} or gone["revoked"] is True, gone
    assert (await done(invites.revoke(WORKSPACE, made["data"]["id"])))["revoked"] is True
    token = token_of(made["data"]["invite_url"])
    assert await done(invites.preview(token)) is None
    await refused(lambda: other.workspace_invites.accept(token), errors.MiosaError, 409, "REVOKED")

    late = await expiring(owner, f"/workspaces/{WORKSPACE}/invites", third["email"])
    await until_expired(invites.preview, late)
    expired_for = client_of(mode, third["credential"])
    await refused(lambda: expired_for.workspace_invites.accept(late), errors.MiosaError, 410, "EXPIRED")


async def org_life(mode, owner, people):
    """Org invites: the same, with this family's codes."""
    invites = owner.org_invites
    first, second, third = people
    made = await done(invites.create(TENANT, email=first["email"], role="admin"))
    assert made["invite_url"].startswith("https://app.acme.test/invites/eyJ"), made
    assert made["invite_id"] and made["role"] == "admin" and made["expires_at"], made
    listed = await done(invites.list(TENANT))
    assert made["invite_id"] in [one["id"] for one in listed], listed
    assert all(one["created_at"] for one in listed), listed

    token = token_of(made["invite_url"])
    shown = await done(invites.preview(token))
    assert shown["tenant_name"] == "Acme Corp" and shown["email"] == first["email"], shown
    invitee, other = client_of(mode, first["credential"]), client_of(mode, second["credential"])
    await refused(lambda: other.org_invites.accept(token), errors.ValidationError, 422, "EMAIL_MISMATCH")
    accepted = await done(invitee.org_invites.accept(token))
    assert accepted["accepted"] is True and accepted["tenant"]["slug"] == "acme", accepted
    await refused(lambda: invitee.org_invites.accept(token), errors.MiosaError, 409, "ALREADY_ACCEPTED")
    await refused(lambda: invites.revoke(TENANT, made["invite_id"]), errors.MiosaError, 409, "ALREADY_ACCEPTED")
    await refused(
        lambda: invites.create(TENANT, email=first["email"]), errors.MiosaError, 409, "ALREADY_MEMBER"
    )
    # the new admin may invite, and not above their rank
    mine = await done(invitee.org_invites.create(TENANT, email=second["email"]))
    await refused(
        lambda: invitee.org_invites.create(TENANT, email="boss@example.com", role="owner"),
        errors.PermissionError, 403, "FORBIDDEN",
    )
    gone = await done(invites.revoke(TENANT, mine["invite_id"]))
    assert gone["revoked"] is True and gone["invite_id"] == mine["invite_id"], gone
    token = token_of(mine["invite_url"])
    assert await done(invites.preview(token)) is None
    await refused(lambda: other.org_invites.accept(token), errors.ValidationError, 400, "REVOKED")
    await refused(lambda: other.org_invites.accept("no-token"), errors.ValidationError, 400, "invalid_token")
    late = await expiring(owner, f"/tenants/{TENANT}/invites", third["email"])
    await until_expired(invites.preview, late)
    expired_for = client_of(mode, third["credential"])
    await refused(lambda: expired_for.org_invites.accept(late), errors.ValidationError, 400, "invalid_token")


async def common_refusals(mode, owner, stranger):
    """What any route may refuse."""
    invites = owner.workspace_invites
    nobody = client_of(mode, "msk_u_this_is_no_key")
    await refused(lambda: nobody.workspace_invites.list(WORKSPACE), errors.AuthenticationError, 401, "invalid_token")
    unknown = client_of(mode, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
    await refused(lambda: unknown.org_invites.list(TENANT), errors.AuthenticationError, 401, "invalid_token")
    await refused(lambda: invites.create(WORKSPACE, email=None), errors.ValidationError, 422, "MISSING_EMAIL")
    await refused(lambda: invites.create(WORKSPACE, email="nobody"), errors.ValidationError, 422, "VALIDATION_ERROR")
    wrong = await refused(
        lambda: owner.org_invites.create(TENANT, email="a@example.com", role="viewer"),
        errors.ValidationError, 422, "VALIDATION_ERROR",
    )
    assert wrong.details["errors"], wrong.details
    await refused(lambda: invites.list("not-an-id"), errors.ValidationError, 400, "INVALID_ID")
    await refused(lambda: invites.revoke(WORKSPACE, str(uuid.uuid4())), errors.NotFoundError, 404, "NOT_FOUND")
    for error in [
        await not_found(lambda: invites.list(WORLD["foreign_workspace"])),
        await not_found(lambda: owner.org_invites.list(WORLD["foreign_tenant"])),
        await not_found(lambda: stranger.org_invites.list(TENANT)),
    ]:
        assert isinstance(error, errors.NotFoundError), repr(error)


async def not_found(call):
    try:
        await done(call())
    except errors.MiosaError as caught:
        assert caught.status_code == 404, repr(caught)
        return caught
    raise AssertionError("found")


async def workspaces(mode, owner):
    """Enough of workspaces to have something to invite into."""
    name = f"Ward {uuid.uuid4().hex[:8]}"
    made = await done(owner.workspaces.create(name=name, metadata={"floor": "3"}))
    assert made.id and made.name == name and made.tenant_id == TENANT and made.created_at.tzinfo, made
    assert made.metadata == {"floor": "3"}, made
    assert (await done(owner.workspaces.get(made.id))).name == name
    assert made.id in [one.id for one in await done(owner.workspaces.list())]
    await refused(
        lambda: owner.workspaces.create(name=name), errors.WorkspaceNameExistsError, 409, "WORKSPACE_NAME_EXISTS"
    )
    external = f"cust_{uuid.uuid4().hex}"
    first = await done(owner.workspaces.create(name=f"{name} x", external_workspace_id=external))
    second = await done(owner.workspaces.create(name=f"{name} x", external_workspace_id=external))
    assert second.reused is True and second.id == first.id, second
    invited = await done(owner.workspace_invites.create(made.id, email="someone@example.com"))
    assert invited["type"] == "invited", invited


async def life(mode, kind, owner, people):
    await workspace_life(mode, owner, people[:3])
    await org_life(mode, owner, people[3:6])
    await common_refusals(mode, owner, client_of(mode, people[6]["credential"]))
    await workspaces(mode, owner)


run(life)
