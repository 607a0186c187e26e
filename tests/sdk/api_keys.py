"""API keys that people make for themselves: created, scoped, listed, changed, rotated, revoked."""

from miosa import errors

from world import TENANT, WORKSPACE, client_of, done, refused, run, token_of


async def a_keys_life(mode, kind, owner, people):
    keys = owner.api_keys
    made = await done(keys.create(name="ci", scopes=["invites:write", "keys:write"]))
    assert made["name"] == "ci" and made["tenant_id"] == TENANT and made["id"], made
    assert made["key"] == made["token"] and made["key"].startswith("msk_u_"), "the text, once"
    assert made["prefix"] == made["key_prefix"] and made["key"].startswith(made["prefix"]), made
    assert made["scopes"] == ["invites:write", "keys:write"] and made["created_at"], made
    assert made["expires_at"] is None and made["status"] == "active", made
    listed = {one["id"]: one for one in await done(keys.list())}
    assert listed[made["id"]]["name"] == "ci" and "key" not in listed[made["id"]], listed
    assert (await done(keys.get(made["id"])))["scopes"] == made["scopes"]

    # it acts as its person, within its scopes
    scoped = client_of(mode, made["key"])
    invited = await done(scoped.workspace_invites.create(WORKSPACE, email=people[0]["email"]))
    assert invited["type"] == "invited", invited
    refusal = lambda: scoped.workspace_members.list(WORKSPACE)
    missing = await refused(refusal, errors.PermissionError, 403, "insufficient_scope")
    assert missing.details["required_scope"] == "members:read", missing.details
    await refused(lambda: scoped.organizations.switch("acme"), errors.PermissionError, 403, "FORBIDDEN")
    # and mints no more than it holds
    less = await done(scoped.api_keys.create(name="less", scopes=["invites:read"]))
    assert less["scopes"] == ["invites:read"], less
    assert (await done(scoped.api_keys.create(name="same")))["scopes"] == made["scopes"]
    for scopes in [["members:write"], []]:
        refusal = lambda: scoped.api_keys.create(name="more", scopes=scopes)
        await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")
    refusal = lambda: scoped.api_keys.update(made["id"], scopes=[])
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")
    whole = await done(keys.create(name="whole"))
    assert whole["scopes"] == [], "all that its person may"
    refusal = lambda: scoped.api_keys.rotate(whole["id"])
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")

    changed = await done(keys.update(made["id"], name="build", scopes=["invites:read"]))
    assert changed["name"] == "build" and changed["scopes"] == ["invites:read"], changed
    refusal = lambda: scoped.workspace_invites.create(WORKSPACE, email="x@example.com")
    await refused(refusal, errors.PermissionError, 403, "insufficient_scope")
    assert await done(scoped.workspace_invites.list(WORKSPACE)), "reading is still in it"
    rotated = await done(keys.rotate(made["id"]))
    assert rotated["id"] == made["id"] and rotated["key"] != made["key"], rotated
    refusal = lambda: scoped.workspace_invites.list(WORKSPACE)
    await refused(refusal, errors.AuthenticationError, 401, "invalid_token")
    fresh = client_of(mode, rotated["key"])
    assert await done(fresh.workspace_invites.list(WORKSPACE))
    told = await done(keys.events(made["id"], limit=10))
    assert "created" in [one["type"] for one in told], told

    assert not await done(keys.delete(made["id"]))
    refusal = lambda: fresh.workspace_invites.list(WORKSPACE)
    await refused(refusal, errors.AuthenticationError, 401, "invalid_token")
    await refused(lambda: keys.rotate(made["id"]), errors.NotFoundError, 404, "NOT_FOUND")
    for one in [less, whole]:
        await done(keys.delete(one["id"]))


async def keys_for_one_purpose(mode, kind, owner, people):
    keys = owner.api_keys
    scoped = await done(keys.create_scoped(
        external_user_id="cust_7", scopes=["invites:read"], expires_at="2099-01-01T00:00:00Z",
    ))
    assert scoped["scopes"] == ["invites:read"] and scoped["expires_at"] == "2099-01-01T00:00:00Z", scoped
    await done(keys.delete(scoped["id"]))
    refusal = lambda: keys.create(name="late", expires_at="2020-01-01T00:00:00Z")
    await refused(refusal, errors.ValidationError, 422, "VALIDATION_ERROR")
    await refused(lambda: keys.create(name=None), errors.ValidationError, 422, "VALIDATION_ERROR")
    refusal = lambda: keys.create(name="platform", key_type="platform")
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")

    # a member's keys are theirs: an owner sees and revokes them, and takes over none
    person = people[1]
    made = await done(owner.org_invites.create(TENANT, email=person["email"]))
    client = client_of(mode, person["credential"])
    await done(client.org_invites.accept(token_of(made["invite_url"])))
    theirs = await done(client.api_keys.create(name="theirs", scopes=["invites:read"]))
    assert [one["id"] for one in await done(client.api_keys.list())] == [theirs["id"]], "nobody else's"
    own = (await done(keys.create(name="own")))["id"]
    await refused(lambda: client.api_keys.get(own), errors.NotFoundError, 404, "NOT_FOUND")
    await refused(lambda: client.api_keys.delete(own), errors.NotFoundError, 404, "NOT_FOUND")
    assert theirs["id"] in [one["id"] for one in await done(keys.list())]
    for change in [lambda: keys.rotate(theirs["id"]), lambda: keys.update(theirs["id"], scopes=["keys:write"])]:
        await refused(change, errors.PermissionError, 403, "FORBIDDEN")
    assert (await done(client.api_keys.get(theirs["id"])))["scopes"] == ["invites:read"]
    await done(keys.delete(theirs["id"]))
    await done(keys.delete(own))


run(a_keys_life, keys_for_one_purpose)
