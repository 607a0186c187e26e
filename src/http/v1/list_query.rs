//! What a list of invites can be asked for in its query. The parameters of the document are the ones that are
//! known: any other is refused with the nearest of them, since a filter that is silently ignored shows too much.

use std::{
    collections::BTreeMap,
    future::{Ready, ready},
    sync::LazyLock,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use entity::{Delivery, InviteStatus, Millis, Role};
use utoipa::{IntoParams, openapi::path::ParameterIn};

use super::member_body::user_id;
use crate::{
    domain::{EmailAddress, Refusal, clock, nearest::did_you_mean, role},
    http::error::ApiError,
    invites::list::{Asked, Filter, MOST, SortBy},
};

/// Rows that can be left out; whoever goes further uses the cursor.
const MOST_SKIPPED: u64 = 10_000;

/// The parameters of a list of invites; given none, it is everything that is pending.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the names and their meaning are what the document and the reader take from it")]
pub struct ListParams {
    /// Statuses as seen now, separated by commas: `pending`, `accepted`, `declined`, `revoked`, `expired`, or
    /// `all`; `pending` if absent.
    #[param(example = "accepted,declined")]
    status: Option<String>,
    /// The invited address.
    #[param(example = "alice@example.com")]
    email: Option<String>,
    /// Roles, separated by commas.
    #[param(example = "admin")]
    role: Option<String>,
    /// Only invites into this workspace.
    #[param(format = Uuid, example = "01900000-0000-7000-8000-0000000000b1")]
    workspace_id: Option<String>,
    /// User id of the inviter of record.
    #[param(example = "user_1")]
    invited_by: Option<String>,
    /// Made later than this, RFC 3339 with a zone.
    #[param(format = DateTime, example = "2026-01-02T03:04:05Z")]
    created_after: Option<String>,
    /// Made earlier than this, RFC 3339 with a zone.
    #[param(format = DateTime, example = "2026-01-02T03:04:05Z")]
    created_before: Option<String>,
    /// Ending earlier than this, RFC 3339 with a zone.
    #[param(format = DateTime, example = "2026-01-02T03:04:05Z")]
    expires_before: Option<String>,
    /// Where the latest mail stands, separated by commas: `none`, `queued`, `retrying`, `sent`, `bounced`,
    /// `failed`, `cancelled`.
    #[param(example = "bounced,failed")]
    delivery: Option<String>,
    /// `created_at` (if absent), `expires_at` or `email`; with `-` before it, the other way round.
    #[param(example = "-created_at")]
    sort: Option<String>,
    /// Where to go on: the `next_cursor` of the page before, with the same filters and order.
    cursor: Option<String>,
    /// How many at most; everything (10,000) if absent.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u64>,
    /// The same under another name.
    #[param(minimum = 1, maximum = 10_000)]
    page_size: Option<u64>,
    /// The same under another name.
    #[param(minimum = 1, maximum = 10_000)]
    per_page: Option<u64>,
    /// Number of the page, from 1, instead of a cursor.
    #[param(minimum = 1, maximum = 10_001)]
    page: Option<u64>,
    /// How many to leave out, instead of a cursor.
    #[param(minimum = 0, maximum = 10_000)]
    offset: Option<u64>,
    /// `total`: it is always there.
    #[param(example = "total")]
    include: Option<String>,
}

/// A list as it is asked for.
pub struct ListQuery(pub Asked);

impl FromRequest for ListQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(req.query_string()).map(Self).map_err(ApiError::from))
    }
}

/// The parameters of a query, each once, none of them unknown.
///
/// # Errors
/// [`Refusal::BadRequest`] naming what is unknown or given twice.
pub(super) fn parameters(query: &str, known: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    let unreadable = |_| Refusal::BadRequest("the query cannot be read".into());
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query).map_err(unreadable)?.into_inner();
    let mut given = BTreeMap::new();
    for (name, value) in pairs {
        if !known.contains(&name) {
            let near = did_you_mean(&name, known.iter().map(String::as_str));
            return Err(Refusal::BadRequest(format!("unknown parameter{}{near}", quoted(&name))));
        }
        let twice = Refusal::BadRequest(format!("the parameter `{name}` is given twice"));
        if given.insert(name, value).is_some() {
            return Err(twice);
        }
    }
    Ok(given)
}

/// A name, unless it is something else that went astray.
fn quoted(name: &str) -> String {
    let fine = (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b));
    if fine { format!(" `{name}`") } else { String::new() }
}

/// Names of the query parameters that a type documents.
pub(super) fn names_of<T: IntoParams>() -> Vec<String> {
    T::into_params(|| Some(ParameterIn::Query)).into_iter().map(|parameter| parameter.name).collect()
}

fn read(query: &str) -> Result<Asked, Refusal> {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(names_of::<ListParams>);
    let given = Given(parameters(query, &KNOWN)?);
    let filter = Filter {
        statuses: given.statuses()?,
        email_norm: match given.text("email")? {
            None => None,
            Some(text) => {
                let email = EmailAddress::parse(text).map_err(|why| Refusal::field("email", why))?;
                Some(email.norm().to_owned())
            }
        },
        roles: given.several("role", role::by_name, &names(&ROLES, |role| role.as_str()))?,
        workspace: match given.text("workspace_id")? {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| Refusal::field("workspace_id", "must be a UUID"))?),
        },
        inviter: given.text("invited_by")?.map(|text| user_id("invited_by", text)).transpose()?,
        deliveries: given.several("delivery", Delivery::parse, &names(&DELIVERIES, |one| one.as_str()))?,
        created_after: given.time("created_after")?,
        created_before: given.time("created_before")?,
        expires_before: given.time("expires_before")?,
    };
    let (sort, descending) = given.sort()?;
    let cursor = given.0.get("cursor").filter(|text| !text.is_empty()).cloned();
    let (skip, limit) = given.paging()?;
    if cursor.is_some() && skip > 0 {
        return Err(Refusal::field("cursor", "cannot be given together with page or offset"));
    }
    if !matches!(given.text("include")?, None | Some("total")) {
        return Err(Refusal::field("include", "must be total"));
    }
    Ok(Asked { filter, sort, descending, cursor, skip, limit })
}

const ROLES: [Role; 4] = [Role::Owner, Role::Admin, Role::Member, Role::Viewer];
const STATUSES: [InviteStatus; 5] = [
    InviteStatus::Pending,
    InviteStatus::Accepted,
    InviteStatus::Declined,
    InviteStatus::Revoked,
    InviteStatus::Expired,
];
const DELIVERIES: [Delivery; 7] = [
    Delivery::None,
    Delivery::Queued,
    Delivery::Retrying,
    Delivery::Sent,
    Delivery::Bounced,
    Delivery::Failed,
    Delivery::Cancelled,
];

fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| name(*one)).collect()
}

/// The parameters that were given, each known.
struct Given(BTreeMap<String, String>);

impl Given {
    fn text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        match self.0.get(name).map(String::as_str) {
            // an empty filter is a slip, and would show everything
            Some("") => Err(Refusal::field(name, "must not be empty")),
            Some(text) if text.len() > 512 => Err(Refusal::field(name, "is too long")),
            other => Ok(other),
        }
    }

    fn several<T: PartialEq>(
        &self,
        name: &'static str,
        read: fn(&str) -> Option<T>,
        known: &[&'static str],
    ) -> Result<Vec<T>, Refusal> {
        let mut wanted = Vec::new();
        for word in self.text(name)?.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            let Some(value) = read(word) else {
                let near = did_you_mean(word, known.iter().copied());
                let what = format!("must be one or more of {}{near}", known.join(", "));
                return Err(Refusal::field(name, what));
            };
            if !wanted.contains(&value) {
                wanted.push(value);
            }
        }
        Ok(wanted)
    }

    fn statuses(&self) -> Result<Vec<InviteStatus>, Refusal> {
        match self.text("status")? {
            None => Ok(vec![InviteStatus::Pending]),
            Some("all") => Ok(Vec::new()),
            Some(_) => {
                let mut known = names(&STATUSES, |status| status.as_str());
                known.push("all");
                self.several("status", InviteStatus::parse, &known)
            }
        }
    }

    fn time(&self, name: &'static str) -> Result<Option<Millis>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        // a plus that was not escaped arrives as a space
        let at = clock::parse_rfc3339(&text.replace(' ', "+"));
        let what = "must be RFC 3339 with a zone, as 2026-01-02T03:04:05Z";
        Ok(Some(at.ok_or_else(|| Refusal::field(name, what))?))
    }

    fn number(&self, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let what = || Refusal::field(name, format!("must be an integer from {least} to {most}"));
        Ok(Some(number.ok_or_else(what)?))
    }

    fn sort(&self) -> Result<(SortBy, bool), Refusal> {
        let text = self.text("sort")?.unwrap_or("created_at");
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let sort = match name {
            "created_at" | "inserted_at" => SortBy::Created,
            "expires_at" => SortBy::Expires,
            "email" => SortBy::Email,
            other => {
                let known = ["created_at", "expires_at", "email"];
                let near = did_you_mean(other, known.into_iter());
                let what = format!("must be one of {}, with - for the other way{near}", known.join(", "));
                return Err(Refusal::field("sort", what));
            }
        };
        Ok((sort, descending))
    }

    /// Rows to leave out, and rows at most.
    fn paging(&self) -> Result<(u64, u64), Refusal> {
        let mut limit = None;
        for name in ["limit", "page_size", "per_page"] {
            limit = limit.or(self.number(name, 1, MOST)?);
        }
        let limit = limit.unwrap_or(MOST);
        let page = self.number("page", 1, MOST_SKIPPED + 1)?;
        let skip = match (self.number("offset", 0, MOST_SKIPPED)?, page) {
            (Some(_), Some(_)) => return Err(Refusal::field("page", "cannot be given together with offset")),
            (Some(offset), None) => offset,
            (None, page) => page.map_or(0, |page| (page - 1).saturating_mul(limit)),
        };
        if skip > MOST_SKIPPED {
            return Err(Refusal::field("page", "lies too far on: use next_cursor"));
        }
        Ok((skip, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_for_is_everything_that_is_pending() {
        assert_eq!(read(""), Ok(Asked::default()));
        assert_eq!(read("include=total&cursor="), Ok(Asked::default()));
    }

    #[test]
    fn every_filter_is_read() {
        let asked = read(
            "status=accepted,declined&email=A%40X.test&role=Developer,owner&invited_by=u1&delivery=bounced\
             &created_after=2026-01-02T03:04:05+01:00&sort=-expires_at&limit=5&page=3",
        )
        .unwrap();
        assert_eq!(asked.filter.statuses, [InviteStatus::Accepted, InviteStatus::Declined]);
        assert_eq!(asked.filter.email_norm.as_deref(), Some("a@x.test"));
        assert_eq!(asked.filter.roles, [Role::Member, Role::Owner]);
        assert_eq!(asked.filter.deliveries, [Delivery::Bounced]);
        assert!(asked.filter.created_after.is_some() && asked.filter.created_before.is_none());
        assert_eq!((asked.sort, asked.descending, asked.skip, asked.limit), (SortBy::Expires, true, 10, 5));
        assert_eq!(read("status=all").unwrap().filter.statuses, []);
    }

    #[test]
    fn what_is_unknown_is_named_with_the_nearest_and_what_is_bad_with_its_field() {
        let bad = |query: &str| read(query).unwrap_err();
        assert_eq!(
            bad("statsu=pending"),
            Refusal::BadRequest("unknown parameter `statsu`; did you mean `status`?".into())
        );
        let secret = "x".repeat(40);
        assert_eq!(bad(&format!("{secret}=1")), Refusal::BadRequest("unknown parameter".into()));
        assert!(matches!(bad("limit=1&limit=2"), Refusal::BadRequest(_)));
        for (query, field) in [
            ("status=pendign", "status"),
            ("status=", "status"),
            ("email=nobody", "email"),
            ("role=boss", "role"),
            ("workspace_id=x", "workspace_id"),
            ("created_after=yesterday", "created_after"),
            ("expires_before=2026-01-02T03:04:05", "expires_before"),
            ("delivery=lost", "delivery"),
            ("sort=name", "sort"),
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("per_page=x", "per_page"),
            ("page=0", "page"),
            ("page=10001", "page"),
            ("offset=-1", "offset"),
            ("include=everything", "include"),
            ("cursor=x&offset=1", "cursor"),
        ] {
            match bad(query) {
                Refusal::Validation(fields) => assert_eq!(fields[0].field, field, "{query}"),
                other => panic!("{query}: {other:?}"),
            }
        }
    }
}
