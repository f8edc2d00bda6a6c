//! The numbers in messages, and their names.

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $repr:ty { $($(#[$inner:meta])* $variant:ident = $code:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$inner])* $variant = $code,)* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub fn code(self) -> $repr {
                self as $repr
            }

            /// The value of a number.
            #[must_use]
            pub fn from_code(code: $repr) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The word for logs and reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

codes! {
    /// What a subscriber waits for before it is sent a record.
    Guarantee: u8 {
        /// Nothing above what was synced.
        Durable = 1 "durable",
        /// What was written; after a power cut the subscriber may have to cut its copy.
        Written = 2 "written",
    }
}

codes! {
    /// Why a subscription is refused, or a connection ended by the provider.
    ErrorCode: u16 {
        /// The asked sequence is gone; the argument is the first available one.
        Pruned = 1 "pruned",
        /// Another log than the subscriber has a copy of.
        WrongLog = 2 "wrong_log",
        /// The subscriber's copy differs from the argument on: cut it there.
        Forked = 3 "forked",
        /// No place now; try again later.
        Busy = 4 "busy",
        /// Not allowed. No reason is given.
        Denied = 5 "denied",
        /// No common version.
        Version = 6 "version",
        /// The protocol was broken.
        Violation = 7 "violation",
        /// Bytes that are no frame or no message.
        BadFrame = 8 "bad_frame",
        /// The provider cannot serve.
        Internal = 9 "internal",
    }
}

codes! {
    /// Why sequences do not come.
    GapReason: u8 {
        /// They are no longer kept.
        Pruned = 1 "pruned",
        /// The subscriber was too slow and its policy skips to live.
        Policy = 2 "policy",
        /// The log is damaged there.
        Corrupt = 3 "corrupt",
        /// The journal itself did not keep them; a record says so too.
        JournalHole = 4 "journal_hole",
    }
}

codes! {
    /// Why one side leaves.
    GoodbyeReason: u16 {
        /// It has what it wanted.
        Done = 1 "done",
        /// It stops.
        Stopping = 2 "stopping",
        /// The subscriber was too slow.
        Slow = 3 "slow",
        /// Nothing was heard in time.
        Timeout = 4 "timeout",
        /// A newer connection of the same subscriber took its place.
        Replaced = 5 "replaced",
        /// The right to be here has ended.
        Revoked = 6 "revoked",
        /// The protocol was broken.
        Violation = 7 "violation",
        /// It cannot go on.
        Internal = 8 "internal",
    }
}
