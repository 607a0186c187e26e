//! Link tokens. Whatever is taken is, byte for byte, what would have been made for that row and version; a genuine
//! token is read back as what it says; no edited one is genuine.

use entity::{InviteId, TenantId};
use usher::domain::{LinkClaims, Scope, link_token::LinkRow};
use uuid::Uuid;

fn row(kid: &str) -> LinkRow<'_> {
    LinkRow { tenant: TenantId(Uuid::nil()), scope: Scope::Org, salt: &[7; 32], kid }
}

pub fn run(data: &[u8]) {
    let keys = crate::keys();
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(token) = keys.parse(text)
    {
        assert_eq!(token.as_str(), text);
        for kid in ["k1", "k2"] {
            let ours = keys.mint(row(kid), token.claims()).unwrap();
            assert_eq!(keys.verify(&token, row(kid)), ours.as_str() == text, "two spellings of one link");
        }
    }
    let Some((said, edits)) = data.split_first_chunk::<20>() else { return };
    let (id, version) = said.split_at(16);
    let claims = LinkClaims {
        id: InviteId(Uuid::from_slice(id).unwrap()),
        version: i32::from_be_bytes(version.try_into().unwrap()),
    };
    let made = keys.mint(row("k1"), claims).unwrap();
    let read = keys.parse(made.as_str()).expect("a token of ours");
    assert!(read.claims() == claims && keys.verify(&read, row("k1")) && !keys.verify(&read, row("k2")));
    if let Some(other) = crate::edited(made.as_str(), edits)
        && let Some(token) = keys.parse(&other)
    {
        assert!(
            !keys.verify(&token, row("k1")) && !keys.verify(&token, row("k2")),
            "an edited link is genuine"
        );
    }
}
