//! Cursors of lists. What was sealed is opened as it was, in its own list alone; nothing else is ever opened.

use entity::InviteId;
use usher::domain::cursor::{Key, Place, open, seal};
use uuid::Uuid;

pub fn run(data: &[u8]) {
    let keys = crate::keys();
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(open(&keys, "list", text).is_none(), "a cursor that nobody sealed");
    }
    let Some((said, rest)) = data.split_first_chunk::<16>() else { return };
    let id = InviteId(Uuid::from_slice(said).unwrap());
    let key = match rest.first_chunk::<8>() {
        Some(number) if said[0] % 2 == 0 => Key::Number(i64::from_be_bytes(*number)),
        _ => Key::Text(String::from_utf8_lossy(rest).chars().take(254).collect()),
    };
    let place = Place { key, id };
    let sealed = seal(&keys, "list", &place).unwrap();
    let opened = open(&keys, "list", &sealed);
    // a key longer than any address may make a cursor longer than any that is looked at
    assert!(opened.as_ref() == Some(&place) || sealed.len() > 1024, "{place:?} came back as {opened:?}");
    assert!(open(&keys, "other", &sealed).is_none());
    if let Some(other) = crate::edited(&sealed, rest) {
        assert!(open(&keys, "list", &other).is_none(), "an edited cursor is taken");
    }
}
