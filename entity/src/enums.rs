//! The closed vocabularies of the columns, stored as snake_case text and checked by the schema.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
        )]
        #[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The text as stored and as written on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The variant of exactly this text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_enum!(
    /// A role, ordered by rank: viewer < member < admin < owner. Tenants have no viewer.
    Role {
        /// Reads only (workspaces).
        Viewer = "viewer",
        /// Works with what is there.
        Member = "member",
        /// Manages members and invites.
        Admin = "admin",
        /// Everything, ownership included.
        Owner = "owner",
    }
);

text_enum!(
    /// What became of an invite. A stored `expired` always means superseded; natural expiry is computed.
    InviteStatus {
        /// Waiting for its addressee.
        Pending = "pending",
        /// Memberships were made.
        Accepted = "accepted",
        /// The addressee said no.
        Declined = "declined",
        /// Withdrawn.
        Revoked = "revoked",
        /// Ran out and was closed by a newer invite.
        Expired = "expired",
    }
);

text_enum!(
    /// Where the latest mail of an invite stands.
    Delivery {
        /// No mail was asked for.
        None = "none",
        /// Waits for the mailer.
        Queued = "queued",
        /// Failed for now, will be tried again.
        Retrying = "retrying",
        /// The relay took it.
        Sent = "sent",
        /// The relay refused the address for good.
        Bounced = "bounced",
        /// Given up.
        Failed = "failed",
        /// The invite ended before its mail left.
        Cancelled = "cancelled",
    }
);

text_enum!(
    /// Life of a row of the outbox.
    OutboxState {
        /// Due at `next_at`.
        Queued = "queued",
        /// Claimed by a mailer until `lease_until`.
        Leased = "leased",
        /// Handed to the relay.
        Sent = "sent",
        /// Given up.
        Dead = "dead",
        /// No longer wanted.
        Cancelled = "cancelled",
    }
);

text_enum!(
    /// What a credential says about its address.
    AddressState {
        /// `email_verified` is `true` (or the issuer's addresses are trusted).
        Verified = "verified",
        /// The claim is there and is anything but `true`.
        Unverified = "unverified",
        /// The claim is not there.
        Absent = "absent",
    }
);
