//! The macro that turns a layout table into a view and its encoder.

/// Declares one message type: a view over its bytes and a struct of its fields.
///
/// Fields are listed with their offsets as the specification does; that they lie back to back from
/// offset 11 to the message's length is checked when this compiles.
macro_rules! message {
    (
        $(#[doc = $doc:literal])*
        $view:ident, $fields:ident, $kind:literal, $length:literal {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty = $at:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $view<'a>(&'a [u8; $length]);

        #[doc = concat!("The fields of a [`", stringify!($view), "`], to be encoded.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $fields {
            /// Stock locate code; 0 when not about one stock.
            pub stock_locate: u16,
            /// NASDAQ's internal tracking number.
            pub tracking_number: u16,
            /// Nanoseconds since midnight, 48 bits.
            pub timestamp_ns: u64,
            $($(#[doc = $field_doc])* pub $field: $type,)*
        }

        const _: () = {
            let end = super::layout::PREFIX_LEN;
            $(
                assert!($at == end, concat!(stringify!($field), " does not follow its neighbour"));
                let end = $at + <$type as Field>::WIDTH;
            )*
            assert!(end == $length, "the fields do not fill the message");
        };

        impl<'a> $view<'a> {
            /// Message type, byte 0.
            pub const KIND: u8 = $kind;
            /// Bytes of the message.
            pub const LEN: usize = $length;

            /// Checks type, length and side.
            ///
            /// # Errors
            /// [`ItchError`] for another type or length, or a side that is neither `B` nor `S`.
            #[inline(always)]
            pub fn parse(bytes: &'a [u8]) -> Result<Self, ItchError> {
                match bytes.first() {
                    None => return Err(ItchError::Empty),
                    Some(&kind) if kind != $kind => return Err(ItchError::UnknownType(kind)),
                    Some(_) => {}
                }
                let Ok(message) = <&[u8; $length]>::try_from(bytes) else {
                    let (expected, actual) = ($length, bytes.len());
                    return Err(ItchError::WrongLength { kind: $kind, expected, actual });
                };
                $(
                    let field = &message[$at..$at + <$type as Field>::WIDTH];
                    if let Some(side) = <$type as Field>::bad_byte(field) {
                        return Err(ItchError::BadSide { kind: $kind, side });
                    }
                )*
                Ok(Self(message))
            }

            /// The whole message.
            #[inline]
            pub fn bytes(&self) -> &'a [u8] {
                self.0
            }

            /// Stock locate code; 0 when not about one stock.
            #[inline]
            pub fn stock_locate(&self) -> u16 {
                u16::get(&self.0[1..3])
            }

            /// NASDAQ's internal tracking number.
            #[inline]
            pub fn tracking_number(&self) -> u16 {
                u16::get(&self.0[3..5])
            }

            /// Nanoseconds since midnight, exchange time.
            #[inline]
            pub fn timestamp_ns(&self) -> u64 {
                fields::timestamp_ns(self.0)
            }

            $(
                $(#[doc = $field_doc])*
                #[inline]
                pub fn $field(&self) -> $type {
                    <$type as Field>::get(&self.0[$at..$at + <$type as Field>::WIDTH])
                }
            )*

            /// All fields, decoded.
            pub fn fields(&self) -> $fields {
                $fields {
                    stock_locate: self.stock_locate(),
                    tracking_number: self.tracking_number(),
                    timestamp_ns: self.timestamp_ns(),
                    $($field: self.$field(),)*
                }
            }
        }

        impl std::fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.fields().fmt(f)
            }
        }

        impl $fields {
            /// The bytes of the message.
            pub fn encode(&self) -> [u8; $length] {
                let mut out = [0; $length];
                out[0] = $kind;
                self.stock_locate.put(&mut out[1..3]);
                self.tracking_number.put(&mut out[3..5]);
                fields::put_timestamp_ns(self.timestamp_ns, &mut out[5..11]);
                $(self.$field.put(&mut out[$at..$at + <$type as Field>::WIDTH]);)*
                out
            }
        }
    };
}

/// Bytes of what every message starts with: type, locate, tracking number, timestamp.
pub(super) const PREFIX_LEN: usize = 11;

pub(super) use message;
