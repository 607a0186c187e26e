//! The words of a mail in the languages usher speaks: whole sentences with named gaps. Owns no layout. A gap
//! is filled in one pass over the sentence, so a name that looks like a gap stays a name.

use entity::Role;

/// The sentences of one language.
#[derive(Debug)]
pub(super) struct Words {
    /// BCP 47 primary tag, also the `lang` of the HTML part.
    pub tag: &'static str,
    pub subject: &'static str,
    pub heading: &'static str,
    /// An invite to the tenant, by somebody with a name.
    pub intro_org: &'static str,
    /// The same to one of its workspaces.
    pub intro_workspace: &'static str,
    /// The same two without a name to give.
    pub intro_org_unnamed: &'static str,
    pub intro_workspace_unnamed: &'static str,
    pub message_from: &'static str,
    pub message: &'static str,
    pub action: &'static str,
    pub button: &'static str,
    pub expiry: &'static str,
    pub ignore: &'static str,
    pub support: &'static str,
    /// viewer, member, admin, owner
    roles: [&'static str; 4],
}

impl Words {
    /// The words of a locale such as `de-AT`; English for any other.
    pub fn of(locale: Option<&str>) -> &'static Self {
        let primary = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or_default();
        [&GERMAN, &FRENCH, &SPANISH]
            .into_iter()
            .find(|words| words.tag.eq_ignore_ascii_case(primary))
            .unwrap_or(&ENGLISH)
    }

    /// What a role is called.
    pub fn role(&self, role: Role) -> &'static str {
        let [viewer, member, admin, owner] = self.roles;
        match role {
            Role::Viewer => viewer,
            Role::Member => member,
            Role::Admin => admin,
            Role::Owner => owner,
        }
    }
}

/// The sentence with its gaps (`{name}`) filled; an unknown gap stays as it is.
pub(super) fn fill(sentence: &str, gaps: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(sentence.len() + 32);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match gaps.iter().find(|(gap, _)| *gap == name) {
            Some((_, value)) => out.push_str(value),
            None => out.extend(["{", name, "}"]),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

static ENGLISH: Words = Words {
    tag: "en",
    subject: "Invitation to join {tenant}",
    heading: "You are invited to join {place}",
    intro_org: "{inviter} invites {email} to join {tenant} as {role}.",
    intro_workspace: "{inviter} invites {email} to join the workspace \"{workspace}\" at {tenant} as {role}.",
    intro_org_unnamed: "{email} is invited to join {tenant} as {role}.",
    intro_workspace_unnamed: "{email} is invited to join the workspace \"{workspace}\" at {tenant} as {role}.",
    message_from: "{inviter} writes:",
    message: "A message for you:",
    action: "Open this link to see the invitation, and to accept or decline it:",
    button: "View invitation",
    expiry: "The link works until {expires} and only for {email}.",
    ignore: "You did not expect this? Ignore this mail: nothing happens unless you accept.",
    support: "Questions? {support}",
    roles: ["viewer", "member", "admin", "owner"],
};

static GERMAN: Words = Words {
    tag: "de",
    subject: "Einladung zu {tenant}",
    heading: "Sie sind zu {place} eingeladen",
    intro_org: "{inviter} lädt {email} zu {tenant} ein. Ihre Rolle: {role}.",
    intro_workspace: "{inviter} lädt {email} in den Arbeitsbereich \"{workspace}\" von {tenant} ein. Ihre Rolle: {role}.",
    intro_org_unnamed: "{email} ist zu {tenant} eingeladen. Ihre Rolle: {role}.",
    intro_workspace_unnamed: "{email} ist in den Arbeitsbereich \"{workspace}\" von {tenant} eingeladen. Ihre Rolle: {role}.",
    message_from: "{inviter} schreibt:",
    message: "Eine Nachricht für Sie:",
    action: "Öffnen Sie diesen Link, um die Einladung zu sehen und anzunehmen oder abzulehnen:",
    button: "Einladung ansehen",
    expiry: "Der Link gilt bis {expires} und nur für {email}.",
    ignore: "Sie haben das nicht erwartet? Dann ignorieren Sie diese Mail: Ohne Ihre Zustimmung geschieht nichts.",
    support: "Fragen? {support}",
    roles: ["Betrachter", "Mitglied", "Administrator", "Inhaber"],
};

static FRENCH: Words = Words {
    tag: "fr",
    subject: "Invitation à rejoindre {tenant}",
    heading: "Vous êtes invité à rejoindre {place}",
    intro_org: "{inviter} invite {email} à rejoindre {tenant}. Rôle : {role}.",
    intro_workspace: "{inviter} invite {email} à rejoindre l'espace \"{workspace}\" de {tenant}. Rôle : {role}.",
    intro_org_unnamed: "{email} est invité à rejoindre {tenant}. Rôle : {role}.",
    intro_workspace_unnamed: "{email} est invité à rejoindre l'espace \"{workspace}\" de {tenant}. Rôle : {role}.",
    message_from: "{inviter} vous écrit :",
    message: "Un message pour vous :",
    action: "Ouvrez ce lien pour voir l'invitation, puis l'accepter ou la refuser :",
    button: "Voir l'invitation",
    expiry: "Le lien est valable jusqu'au {expires} et seulement pour {email}.",
    ignore: "Vous ne vous y attendiez pas ? Ignorez ce message : rien ne se passe sans votre accord.",
    support: "Des questions ? {support}",
    roles: ["lecteur", "membre", "administrateur", "propriétaire"],
};

static SPANISH: Words = Words {
    tag: "es",
    subject: "Invitación a {tenant}",
    heading: "Tiene una invitación a {place}",
    intro_org: "{inviter} invita a {email} a unirse a {tenant}. Rol: {role}.",
    intro_workspace: "{inviter} invita a {email} a unirse al espacio \"{workspace}\" de {tenant}. Rol: {role}.",
    intro_org_unnamed: "Se invita a {email} a unirse a {tenant}. Rol: {role}.",
    intro_workspace_unnamed: "Se invita a {email} a unirse al espacio \"{workspace}\" de {tenant}. Rol: {role}.",
    message_from: "{inviter} escribe:",
    message: "Un mensaje para usted:",
    action: "Abra este enlace para ver la invitación y aceptarla o rechazarla:",
    button: "Ver la invitación",
    expiry: "El enlace sirve hasta el {expires} y solo para {email}.",
    ignore: "¿No la esperaba? Ignore este correo: nada ocurre si usted no acepta.",
    support: "¿Preguntas? {support}",
    roles: ["lector", "miembro", "administrador", "propietario"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_gap_stays_a_name() {
        let filled = fill("{inviter} invites {email}", &[("inviter", "{email}"), ("email", "a@x.test")]);
        assert_eq!(filled, "{email} invites a@x.test");
        assert_eq!(fill("a { b", &[]), "a { b");
    }

    #[test]
    fn the_language_follows_the_primary_tag_and_falls_back_to_english() {
        for (locale, tag) in [("de-AT", "de"), ("FR", "fr"), ("es_MX", "es"), ("ja", "en"), ("", "en")] {
            assert_eq!(Words::of(Some(locale)).tag, tag, "{locale}");
        }
        assert_eq!(Words::of(None).tag, "en");
    }
}
