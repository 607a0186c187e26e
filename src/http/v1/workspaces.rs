//! Workspaces: enough of them to have something to invite into.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use entity::workspace;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::body::{self, ErrorBody};
use crate::{
    domain::{Refusal, clock::rfc3339},
    http::{
        error::ApiError,
        extract::{Body, Caller, id},
        once::{self, Once},
    },
    workspaces::{create, create::NewWorkspace, delete, edit, list},
};

/// Body of a create.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateWorkspace {
    /// Display name, 1 to 64 characters.
    #[serde(default)]
    #[schema(required = true, value_type = String)]
    pub name: Option<String>,
    /// Short name.
    #[serde(default)]
    pub slug: Option<String>,
    /// Free text, at most 500 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// Flat map of strings.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Id in your own system: makes the call safe to repeat.
    #[serde(default)]
    pub external_workspace_id: Option<String>,
    /// Id of the owner in your own system.
    #[serde(default)]
    pub external_user_id: Option<String>,
    /// Take a name that exists.
    #[serde(default)]
    pub allow_duplicate_name: Option<bool>,
}

/// A workspace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkspaceBody {
    /// Its id.
    pub id: Uuid,
    /// Its tenant.
    pub tenant_id: Uuid,
    /// Display name.
    pub name: String,
    /// Short name.
    pub slug: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Flat map of strings.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub metadata: BTreeMap<String, String>,
    /// Always empty.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub settings: BTreeMap<String, String>,
    /// Id in your own system.
    pub external_workspace_id: Option<String>,
    /// Id of the owner in your own system.
    pub external_user_id: Option<String>,
    /// When made.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
}

impl WorkspaceBody {
    fn of(row: &workspace::Model) -> Self {
        let metadata = row.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Self {
            id: row.id.0,
            tenant_id: row.tenant_id.0,
            name: row.name.clone(),
            slug: row.slug.clone(),
            description: row.description.clone(),
            metadata: metadata.unwrap_or_default(),
            settings: BTreeMap::new(),
            external_workspace_id: row.external_workspace_id.clone(),
            external_user_id: row.external_user_id.clone(),
            created_at: rfc3339(row.inserted_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// A workspace, its fields both bare and under `data`, since clients read either.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkspaceAnswer {
    /// The fields bare.
    #[serde(flatten)]
    pub bare: WorkspaceBody,
    /// The same again.
    pub data: WorkspaceBody,
    /// Set when your own id matched an existing one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<bool>,
}

impl WorkspaceAnswer {
    fn of(row: &workspace::Model) -> Self {
        let bare = WorkspaceBody::of(row);
        Self { data: bare.clone(), bare, reused: None }
    }
}

/// A page of workspaces; exactly two keys, which some clients insist on.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkspaceList {
    /// In order of making.
    pub data: Vec<WorkspaceBody>,
    /// Paging.
    pub meta: PageMeta,
}

/// Where a page lies.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageMeta {
    /// How many there are in all.
    pub total: u64,
    /// Number of this page, from 1.
    pub page: u64,
    /// Length of a page.
    pub per_page: u64,
    /// The same.
    pub page_size: u64,
}

/// Paging by page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Pages {
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Length of a page; everything (10,000) if absent.
    #[param(minimum = 1, maximum = 10_000)]
    per_page: Option<u64>,
    /// The same under another name.
    #[param(minimum = 1, maximum = 10_000)]
    page_size: Option<u64>,
    /// The same under another name.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u64>,
    /// How many to skip, in place of `page`.
    #[param(minimum = 0)]
    offset: Option<u64>,
}

/// Create a workspace; whoever creates it owns it.
///
/// **Permissions**: tenant owner or admin.
#[utoipa::path(tag = "workspaces", operation_id = "create_workspace",
    request_body = CreateWorkspace,
    responses(
        (status = 201, description = "Created", body = WorkspaceAnswer),
        (status = 200, description = "Your own id matched an existing one", body = WorkspaceAnswer),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces")]
pub async fn create_workspace(
    caller: Caller,
    body: Body<CreateWorkspace>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let new = body.0.read()?;
    let (state, call) = caller.within_own().await?;
    let creating = create::create(&state.workspaces, call, new);
    let answer = once.answer(creating, |(row, reused)| {
        let answer = WorkspaceAnswer { reused: reused.then_some(true), ..WorkspaceAnswer::of(&row) };
        if reused { once::ok(&answer) } else { once::created(&answer) }
    });
    Ok(answer.await?)
}

impl CreateWorkspace {
    fn read(self) -> Result<NewWorkspace, Refusal> {
        let metadata = metadata(self.metadata.unwrap_or_default())?;
        let slug = body::text("slug", self.slug, 64)?;
        if slug.as_ref().is_some_and(|slug| {
            !slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        }) {
            return Err(Refusal::field("slug", "may have lower-case letters, digits and hyphens"));
        }
        Ok(NewWorkspace {
            name: body::name("name", self.name)?,
            slug,
            description: body::text("description", self.description, 500)?,
            metadata,
            external_workspace_id: body::text("external_workspace_id", self.external_workspace_id, 255)?,
            external_user_id: body::text("external_user_id", self.external_user_id, 255)?,
            allow_duplicate_name: self.allow_duplicate_name.unwrap_or(false),
        })
    }
}

/// A flat map of short texts.
fn metadata(map: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal> {
    let short = |(key, value): (&String, &String)| {
        key.len() <= 64 && value.len() <= 500 && !has_nul(key) && !has_nul(value)
    };
    if map.len() <= 50 && map.iter().all(short) {
        Ok(map)
    } else {
        Err(Refusal::field("metadata", "must have at most 50 short texts"))
    }
}

fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// List the workspaces of the tenant that the caller may see.
#[utoipa::path(tag = "workspaces", operation_id = "list_workspaces", params(Pages),
    responses(
        (status = 200, description = "Workspaces", body = WorkspaceList),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces")]
pub async fn list_workspaces(caller: Caller, pages: web::Query<Pages>) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_own().await?;
    let per_page = pages.per_page.or(pages.page_size).or(pages.limit).unwrap_or(10_000).clamp(1, 10_000);
    let page = pages.page.unwrap_or(1).clamp(1, 1_000_000);
    let offset = pages.offset.unwrap_or((page - 1) * per_page).min(i64::MAX.unsigned_abs());
    let (rows, total) = list::list(&state.workspaces, call, offset, per_page).await?;
    let meta = PageMeta { total, page, per_page, page_size: per_page };
    Ok(HttpResponse::Ok().json(WorkspaceList { data: rows.iter().map(WorkspaceBody::of).collect(), meta }))
}

/// Get one workspace.
#[utoipa::path(tag = "workspaces", operation_id = "get_workspace",
    responses(
        (status = 200, description = "The workspace", body = WorkspaceAnswer),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspace_id}")]
pub async fn get_workspace(caller: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let workspace = id(&path)?;
    let (state, call) = caller.within_workspace(workspace).await?;
    let row = list::get(&state.workspaces, call, workspace).await?;
    Ok(HttpResponse::Ok().json(WorkspaceAnswer::of(&row)))
}

/// Body of an edit; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditWorkspace {
    /// Display name, 1 to 64 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// Free text, at most 500 characters.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// Flat map of strings, replaced as a whole.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Rename a workspace, or change what is noted of it.
///
/// **Permissions**: workspace owner or admin, tenant owner or admin.
#[utoipa::path(tag = "workspaces", operation_id = "edit_workspace",
    request_body = EditWorkspace,
    responses(
        (status = 200, description = "The workspace as it is now", body = WorkspaceAnswer),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/workspaces/{workspace_id}")]
pub async fn edit_workspace(
    caller: Caller,
    path: web::Path<String>,
    body: Body<EditWorkspace>,
) -> Result<HttpResponse, ApiError> {
    let workspace = id(&path)?;
    let new = body.0;
    let change = edit::Change {
        name: new.name.map(|name| body::name("name", Some(name))).transpose()?,
        description: new.description.map(|text| body::text("description", text, 500)).transpose()?,
        metadata: new.metadata.map(metadata).transpose()?,
    };
    let (state, call) = caller.within_workspace(workspace).await?;
    let row = edit::edit(&state.workspaces, call, workspace, change).await?;
    Ok(HttpResponse::Ok().json(WorkspaceAnswer::of(&row)))
}

/// Delete a workspace with its memberships and invites.
///
/// **Permissions**: workspace owner, tenant owner.
#[utoipa::path(tag = "workspaces", operation_id = "delete_workspace",
    responses(
        (status = 204, description = "Deleted"),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/workspaces/{workspace_id}")]
pub async fn delete_workspace(caller: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let workspace = id(&path)?;
    let (state, call) = caller.within_workspace(workspace).await?;
    delete::delete(&state.workspaces, call, workspace).await?;
    Ok(HttpResponse::NoContent().finish())
}
