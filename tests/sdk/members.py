"""Members of workspaces and of the tenant, by every resource of the SDK that reads or changes them."""

from miosa import errors

from world import TENANT, WORKSPACE, client_of, done, member_id, refused, run, token_of


async def joined(mode, owner, person, role="member"):
    """Makes somebody a member of the tenant by an invite; gives their client and id."""
    made = await done(owner.org_invites.create(TENANT, email=person["email"], role=role))
    client = client_of(mode, person["credential"])
    accepted = await done(client.org_invites.accept(token_of(made["invite_url"])))
    assert accepted["tenant_id"] == TENANT and accepted["tenant"]["id"] == TENANT, accepted
    return client, await member_id(owner, person)


async def workspace_members(mode, kind, owner, people):
    """`workspace_members`, and `workspaces(id).members` beside it."""
    person, stranger = people[0], people[1]
    client, user = await joined(mode, owner, person)
    members = owner.workspace_members
    await refused(lambda: client.workspace_members.list(WORKSPACE), errors.PermissionError, 403, "FORBIDDEN")
    added = await done(members.add(WORKSPACE, user_id=user, role="viewer"))
    assert added["user_id"] == user and added["workspace_id"] == WORKSPACE, added
    assert added["role"] == "viewer" and added["joined_at"] and added["added_by"], added
    await refused(lambda: members.add(WORKSPACE, user_id=user), errors.MiosaError, 409, "ALREADY_MEMBER")
    listed = {one["user_id"]: one for one in await done(client.workspace_members.list(WORKSPACE))}
    assert listed[user]["email"] == person["email"] and listed[user]["role"] == "viewer", listed
    assert "avatar_url" in listed[user] and "name" in listed[user], listed
    changed = await done(members.update_role(WORKSPACE, user, role="admin"))
    assert changed["role"] == "admin" and changed["user_id"] == user, changed
    refusal = lambda: members.add(WORKSPACE, user_id=stranger["user_id"])
    await refused(refusal, errors.ValidationError, 422, "NOT_TENANT_MEMBER")
    await refused(lambda: members.add(WORKSPACE, user_id=""), errors.ValidationError, 422, "MISSING_USER_ID")
    refusal = lambda: members.update_role(WORKSPACE, user, role=None)
    await refused(refusal, errors.ValidationError, 422, "MISSING_ROLE")
    refusal = lambda: client.workspace_members.update_role(WORKSPACE, user, role="owner")
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")

    beside = owner.workspaces(WORKSPACE).members
    assert user in [one["user_id"] for one in await done(beside.list())]
    assert (await done(beside.update_role(user, "member")))["role"] == "member"
    invited = await done(beside.invite(stranger["email"], "viewer"))
    assert invited["email"] == stranger["email"] and invited["role"] == "viewer", invited
    assert await done(owner.workspace_invites.preview(token_of(invited["invite_url"])))
    await done(owner.workspace_invites.revoke(WORKSPACE, invited["id"]))

    assert (await done(members.remove(WORKSPACE, user)))["deleted"] is True
    await refused(lambda: members.remove(WORKSPACE, user), errors.NotFoundError, 404, "NOT_FOUND")
    await done(members.add(WORKSPACE, user_id=user))
    assert await done(beside.remove(user)) is None
    own = await done(owner.workspaces.create(name=f"{mode} {kind} members"))
    keeper = (await done(owner.workspace_members.list(own.id)))[0]["user_id"]
    await refused(lambda: members.remove(own.id, keeper), errors.MiosaError, 409, "LAST_OWNER")
    refusal = lambda: members.update_role(own.id, keeper, role="admin")
    await refused(refusal, errors.MiosaError, 409, "LAST_OWNER")


async def organization_members(mode, kind, owner, people):
    """`organizations.members`: the roster under the tenant's id."""
    members, user = owner.organizations.members, people[2]["user_id"]
    added = await done(members.add(TENANT, user, role="admin"))
    assert added["user_id"] == user and added["tenant_id"] == TENANT and added["role"] == "admin", added
    assert added["status"] == "active" and added["created_at"] and added["id"] == user, added
    listed = await done(members.list(TENANT))
    assert listed["total"] == len(listed["members"]) and listed["members"] == listed["data"], listed
    assert user in [one["user_id"] for one in listed["members"]]
    await refused(lambda: members.add(TENANT, user), errors.MiosaError, 409, "ALREADY_MEMBER")
    refusal = lambda: members.add(TENANT, people[3]["user_id"], role="viewer")
    await refused(refusal, errors.ValidationError, 422, "VALIDATION_ERROR")
    removed = await done(members.remove(TENANT, user))
    assert removed["tenant_id"] == TENANT and removed["user_id"] == user and removed["removed"] is True
    await refused(lambda: members.remove(TENANT, user), errors.NotFoundError, 404, "NOT_FOUND")


async def tenant_members(mode, kind, owner, people):
    """`tenant.members`: the same roster without an id, invitations included, and the handing over."""
    person, invitee = people[4], people[5]
    client, user = await joined(mode, owner, person, "admin")
    members = owner.tenant.members
    listed = {one["user_id"]: one for one in await done(client.tenant.members.list())}
    assert listed[user]["user_email"] == person["email"] and listed[user]["role"] == "admin", listed
    invited = await done(members.invite(invitee["email"], "member"))
    assert invited["email"] == invitee["email"] and invited["role"] == "member", invited
    shown = await done(owner.org_invites.preview(token_of(invited["invite_url"])))
    assert shown["email"] == invitee["email"], shown
    again = await done(members.invite(invitee["email"], "member"))
    assert again["id"] == invited["id"], "an invitation repeated is the same one"
    refusal = lambda: client.tenant.members.update_role(user, "owner")
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")
    refusal = lambda: client.tenant.members.transfer_ownership(user)
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")

    keeper = next(one["user_id"] for one in listed.values() if one["role"] == "owner")
    await refused(lambda: members.remove(keeper), errors.MiosaError, 409, "LAST_OWNER")
    await refused(lambda: members.update_role(keeper, "admin"), errors.MiosaError, 409, "LAST_OWNER")
    refusal = lambda: members.transfer_ownership(people[6]["user_id"])
    await refused(refusal, errors.ValidationError, 422, "NOT_TENANT_MEMBER")
    handed = await done(members.transfer_ownership(user))
    assert handed["user_id"] == user and handed["role"] == "owner", handed
    await refused(lambda: members.update_role(user, "member"), errors.PermissionError, 403, "FORBIDDEN")
    back = await done(client.tenant.members.transfer_ownership(keeper))
    assert back["user_id"] == keeper and back["role"] == "owner", back
    assert (await done(members.update_role(user, "member")))["role"] == "member"
    refusal = lambda: client.tenant.members.invite("x@example.com", "member")
    await refused(refusal, errors.PermissionError, 403, "FORBIDDEN")
    # anybody may leave
    assert await done(client.tenant.members.remove(user)) is None
    await refused(lambda: client.tenant.members.list(), errors.NotFoundError, 404, "NOT_FOUND")


run(workspace_members, organization_members, tenant_members)
