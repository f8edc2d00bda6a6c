//! Messages and components as structures that are equal for all releases.
//!
//! A structure is declared once, with the exchange's name of each field's place. A release that
//! lacks a field gives none; [`absent`] names those that some release lacks. Numbers are copied out
//! of the message, texts and groups stay in it.

use std::fmt;
use std::iter::FusedIterator;

use super::layout::{
    Group, I8, I32, I64, Price, Quantity, Text, Time, U8, U16, U32, WholeQuantity,
};
use super::{Release, Side};

mod absent;
mod components;
mod messages;

pub use components::{
    InstrumentEntry, Leg, RelatedInstrument, RemainingOrder, StateEntry, TradeEntry,
};
pub use messages::{
    AddComplexInstrument, AddFlexibleInstrument, AddScaledSimpleInstrument, AuctionBbo,
    AuctionClearingPrice, CrossRequest, ExecutionSummary, InstrumentStateChange, InstrumentSummary,
    MassInstrumentStateChange, ProductStateChange, ProductSummary, QuoteRequest, TesTradeReport,
    TopOfBook, TradeReport, TradeReversal,
};

/// A message or a component of one.
pub trait Structure<'a>: Copy + Default + 'a {
    /// Reads it from its bytes; an error names the field that must not lack its value.
    #[doc(hidden)]
    fn read(release: Release, body: &'a [u8]) -> Result<Self, &'static str>;

    /// Writes it into its bytes.
    #[doc(hidden)]
    fn write(&self, release: Release, body: &mut [u8]);
}

/// The entries of a group: those that its counter counts. The ones behind them mean nothing.
#[derive(Clone, Copy)]
pub struct Entries<'a, T> {
    kept: Kept<'a, T>,
}

/// Where entries are.
#[derive(Clone, Copy)]
enum Kept<'a, T> {
    /// On the wire, whole entries of this many bytes.
    Wire(Release, &'a [u8], usize),
    /// Values to be written.
    Values(&'a [T]),
}

impl<'a, T: Structure<'a>> Entries<'a, T> {
    /// Entries to be written.
    pub fn of(values: &'a [T]) -> Self {
        Self {
            kept: Kept::Values(values),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.kept {
            Kept::Wire(_, bytes, entry_len) => bytes.len() / entry_len,
            Kept::Values(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl FusedIterator<Item = T> + use<'a, T> {
        let (release, bytes, entry_len, values) = match self.kept {
            Kept::Wire(release, bytes, entry_len) => (release, bytes, entry_len, &[][..]),
            Kept::Values(values) => (Release::V14_1, &[][..], 1, values),
        };
        // Every entry was read once when the message was: none is left out here.
        let read = move |bytes: &'a [u8]| T::read(release, bytes).ok();
        let wire = bytes.chunks_exact(entry_len).filter_map(read);
        wire.chain(values.iter().copied()).fuse()
    }
}

impl<T> Default for Entries<'_, T> {
    fn default() -> Self {
        Self {
            kept: Kept::Values(&[]),
        }
    }
}

impl<'a, T: Structure<'a> + PartialEq> PartialEq for Entries<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Structure<'a> + Eq> Eq for Entries<'a, T> {}

impl<'a, T: Structure<'a> + fmt::Debug> fmt::Debug for Entries<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// How a place in a message holds values of a type.
trait Place<'a, T>: Copy {
    /// The value, `None` when there is none; an error when the bytes cannot be one.
    fn read(self, release: Release, body: &'a [u8]) -> Result<Option<T>, ()>;
    fn write(self, release: Release, body: &mut [u8], value: Option<T>);
}

/// A place that a release has not.
#[derive(Clone, Copy)]
struct Absent;

impl<'a, T> Place<'a, T> for Absent {
    fn read(self, _: Release, _: &'a [u8]) -> Result<Option<T>, ()> {
        Ok(None)
    }

    fn write(self, _: Release, _: &mut [u8], _: Option<T>) {}
}

macro_rules! numbers {
    ($($place:ident: $value:ty),*) => {
        $(impl<'a> Place<'a, $value> for $place {
            fn read(self, _: Release, body: &'a [u8]) -> Result<Option<$value>, ()> {
                Ok(self.get(body))
            }

            fn write(self, _: Release, body: &mut [u8], value: Option<$value>) {
                self.put(body, value);
            }
        })*
    };
}

numbers! {
    U8: u8, U16: u16, U32: u32, I8: i8, I32: i32, I64: i64, Time: u64, Price: i64, Quantity: i64,
    WholeQuantity: i64
}

/// A number that has one byte here and two in a later release.
impl<'a> Place<'a, u16> for U8 {
    fn read(self, _: Release, body: &'a [u8]) -> Result<Option<u16>, ()> {
        Ok(self.get(body).map(u16::from))
    }

    fn write(self, _: Release, body: &mut [u8], value: Option<u16>) {
        let narrow = |value| u8::try_from(value).expect("a value of one byte");
        self.put(body, value.map(narrow));
    }
}

impl<'a> Place<'a, Side> for U8 {
    fn read(self, _: Release, body: &'a [u8]) -> Result<Option<Side>, ()> {
        match self.get(body) {
            None => Ok(None),
            code => Side::from_code(code).map(Some).ok_or(()),
        }
    }

    fn write(self, _: Release, body: &mut [u8], value: Option<Side>) {
        self.put(body, value.map(|side| side as u8));
    }
}

impl<'a, const LEN: usize> Place<'a, &'a [u8]> for Text<LEN> {
    fn read(self, _: Release, body: &'a [u8]) -> Result<Option<&'a [u8]>, ()> {
        Ok(Some(self.get(body)))
    }

    fn write(self, _: Release, body: &mut [u8], value: Option<&'a [u8]>) {
        let text = value.unwrap_or_default();
        assert!(text.len() <= LEN, "a text of at most {LEN} bytes");
        body[self.0..self.0 + text.len()].copy_from_slice(text);
    }
}

/// A component that is not repeated.
impl<'a, T: Structure<'a>> Place<'a, T> for usize {
    fn read(self, release: Release, body: &'a [u8]) -> Result<Option<T>, ()> {
        T::read(release, &body[self..]).map(Some).map_err(|_| ())
    }

    fn write(self, release: Release, body: &mut [u8], value: Option<T>) {
        value.unwrap_or_default().write(release, &mut body[self..]);
    }
}

impl<'a, T: Structure<'a>> Place<'a, Entries<'a, T>> for Group {
    fn read(self, release: Release, body: &'a [u8]) -> Result<Option<Entries<'a, T>>, ()> {
        // A message has no room for more than its most: what is beyond is refused with the bytes.
        let count = self.counter.get(body).ok_or(())?;
        let bytes = usize::from(count) * self.entry_len;
        let bytes = body.get(self.at..self.at + bytes).ok_or(())?;
        for entry in bytes.chunks_exact(self.entry_len) {
            T::read(release, entry).map_err(|_| ())?;
        }
        let kept = Kept::Wire(release, bytes, self.entry_len);
        Ok(Some(Entries { kept }))
    }

    fn write(self, release: Release, body: &mut [u8], value: Option<Entries<'a, T>>) {
        let entries = value.unwrap_or_default();
        let count = u8::try_from(entries.len()).expect("a count of one byte");
        assert!(count <= self.most, "at most {} entries", self.most);
        self.counter.put(body, Some(count));
        let places = body[self.at..].chunks_exact_mut(self.entry_len);
        for (entry, place) in entries.iter().zip(places) {
            entry.write(release, place);
        }
    }
}

/// The type of a structure's field: one that must be there, or an `Option` of one.
trait Value: Sized {
    type Raw;

    fn of(raw: Option<Self::Raw>) -> Option<Self>;
    fn raw(self) -> Option<Self::Raw>;
}

impl<T: Value> Value for Option<T> {
    type Raw = T::Raw;

    fn of(raw: Option<T::Raw>) -> Option<Self> {
        match raw {
            None => Some(None),
            some => T::of(some).map(Some),
        }
    }

    fn raw(self) -> Option<T::Raw> {
        self.and_then(T::raw)
    }
}

macro_rules! values {
    ($($value:ty),*) => {
        $(impl Value for $value {
            type Raw = Self;

            fn of(raw: Option<Self>) -> Option<Self> {
                raw
            }

            fn raw(self) -> Option<Self> {
                Some(self)
            }
        })*
    };
}

values!(
    u8,
    u16,
    u32,
    u64,
    i8,
    i32,
    i64,
    Side,
    RelatedInstrument,
    RemainingOrder
);

/// Texts and groups are empty where a release has none.
impl Value for &[u8] {
    type Raw = Self;

    fn of(raw: Option<Self>) -> Option<Self> {
        Some(raw.unwrap_or_default())
    }

    fn raw(self) -> Option<Self> {
        Some(self)
    }
}

impl<T> Value for Entries<'_, T> {
    type Raw = Self;

    fn of(raw: Option<Self>) -> Option<Self> {
        Some(raw.unwrap_or_default())
    }

    fn raw(self) -> Option<Self> {
        Some(self)
    }
}

/// Reads a field; an error is its name.
fn field<'a, F: Value>(
    place: impl Place<'a, F::Raw>,
    name: &'static str,
    release: Release,
    body: &'a [u8],
) -> Result<F, &'static str> {
    let raw = place.read(release, body).map_err(|()| name)?;
    F::of(raw).ok_or(name)
}

/// Declares structures: `Name in module_of_the_layouts { field: type = PLACE, … }`. Those behind
/// `; since 14.1` are no part of release 6.0.
macro_rules! structures {
    (
        $($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? in $module:ident $fields:tt)*
        ; since 14.1
        $($(#[$new_doc:meta])* $new:ident $(<$new_life:lifetime>)? in $new_module:ident $new_fields:tt)*
    ) => {
        $(
            structures! { @type [$(#[$doc])*] $name [$($life)?] $fields }
            structures! { @both $name [$($life)?] $module $fields }
        )*
        $(
            structures! { @type [$(#[$new_doc])*] $new [$($new_life)?] $new_fields }
            structures! { @new $new [$($new_life)?] $new_module $new_fields }
        )*
    };
    (
        @type [$(#[$doc:meta])*] $name:ident [$($life:lifetime)?]
        { $($(#[$about:meta])* $field:ident: $type:ty = $place:ident,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $($(#[$about])* pub $field: $type,)*
        }
    };
    (
        @both $name:ident [$($life:lifetime)?] $module:ident
        { $($(#[$about:meta])* $field:ident: $type:ty = $place:ident,)* }
    ) => {
        impl<'a> $crate::eobi::structure::Structure<'a> for $name $(<$life>)? {
            fn read(release: Release, body: &'a [u8]) -> Result<Self, &'static str> {
                if release == Release::V14_1 {
                    use $crate::eobi::layout::v14_1::$module as of;
                    return Ok(Self {
                        $($field: field(of::$place, stringify!($place), release, body)?,)*
                    });
                }
                #[allow(unused_imports, reason = "some structures lack nothing")]
                use $crate::eobi::structure::absent::*;
                // What the layout has hides what is absent: its scope is the inner one.
                {
                    use $crate::eobi::layout::v6_0::$module::*;
                    Ok(Self {
                        $($field: field($place, stringify!($place), release, body)?,)*
                    })
                }
            }

            fn write(&self, release: Release, body: &mut [u8]) {
                if release == Release::V14_1 {
                    use $crate::eobi::layout::v14_1::$module as of;
                    $(Place::write(of::$place, release, body, self.$field.raw());)*
                    return;
                }
                #[allow(unused_imports, reason = "some structures lack nothing")]
                use $crate::eobi::structure::absent::*;
                {
                    use $crate::eobi::layout::v6_0::$module::*;
                    $(Place::write($place, release, body, self.$field.raw());)*
                }
            }
        }
    };
    (
        @new $name:ident [$($life:lifetime)?] $module:ident
        { $($(#[$about:meta])* $field:ident: $type:ty = $place:ident,)* }
    ) => {
        impl<'a> $crate::eobi::structure::Structure<'a> for $name $(<$life>)? {
            fn read(release: Release, body: &'a [u8]) -> Result<Self, &'static str> {
                if release == Release::V6_0 {
                    return Err("TemplateID");
                }
                use $crate::eobi::layout::v14_1::$module as of;
                Ok(Self {
                    $($field: field(of::$place, stringify!($place), release, body)?,)*
                })
            }

            fn write(&self, release: Release, body: &mut [u8]) {
                assert!(release != Release::V6_0, "no structure of release 6.0");
                use $crate::eobi::layout::v14_1::$module as of;
                $(Place::write(of::$place, release, body, self.$field.raw());)*
            }
        }
    };
}
use structures;
