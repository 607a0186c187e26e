//! E-mail addresses. Reading is idempotent, folding is of ASCII alone and never makes two mailboxes one, and nothing
//! that could break out of a header, a list of recipients or a line of SQL is an address.

use usher::domain::EmailAddress;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(address) = EmailAddress::parse(text) else { return };
    let (shown, norm) = (address.as_str(), address.norm());
    assert!(shown.len() <= 254 && shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown:?}");
    assert!(!shown.contains(['<', '>', '(', ')', ',', ';', ':', '"', '\\', '[', ']']), "{shown:?}");
    assert_eq!(shown.matches('@').count(), 1);
    assert_eq!(shown.to_ascii_lowercase(), norm, "only capitals may differ");
    assert_eq!(norm.rsplit_once('@').unwrap().1, address.domain());
    let local = text.trim_matches(' ').rsplit_once('@').unwrap().0;
    assert_eq!(shown.split_once('@').unwrap().0, local, "the local part is somebody else's to spell");
    for spelling in
        [shown, norm, &text.to_ascii_uppercase(), &text.to_ascii_lowercase(), &format!(" {text} ")]
    {
        let again = EmailAddress::parse(spelling).map(|again| again.norm().to_owned());
        assert_eq!(again.as_deref(), Ok(norm), "{spelling:?}");
    }
    assert_eq!(EmailAddress::parse(shown).as_ref(), Ok(&address));
    let masked = format!("{address:?}");
    assert!(local.len() < 2 || !masked.contains(shown), "{masked}");
}
