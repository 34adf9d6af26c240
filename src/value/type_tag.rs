//! The type of a stored value, and the rules for two types to be the same.
//!
//! Two types are the same if the `TypeId` is the same, lifetimes ignored. Outermost `&`,
//! `&mut`, `Box`, `Arc`, `Rc` and `Cow` do not count, `str` equals `String`, and `[T]` equals
//! `Vec<T>`: serde writes these forms alike, and a caller puts a `&str` to read a `String`.
//!
//! The type behind a pointer has no `TypeId` here, so the type is compared by name. Names are
//! no identity (two structs in two blocks of the same function share a name), so names decide
//! only if peeling changed a name. Rust does not promise the form of a type's name: if the form
//! changes, a read behind a pointer becomes an error, never another value.

use std::any::{TypeId, type_name};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// The type of a stored value, as large as a pointer.
#[derive(Clone, Copy)]
pub(crate) struct TypeTag(&'static Info);

/// Functions instead of the results: in Rust 1.85 a constant cannot hold the results.
struct Info {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

/// Holds the constant `Info` of `V`.
struct InfoOf<V: ?Sized>(PhantomData<V>);

impl<V: ?Sized> InfoOf<V> {
    const INFO: &'static Info = &Info {
        id: typeid::of::<V>,
        name: type_name::<V>,
    };
}

impl TypeTag {
    /// Returns the tag of `V`.
    #[inline]
    pub(crate) fn of<V: ?Sized>() -> Self {
        Self(InfoOf::<V>::INFO)
    }

    /// Returns `true` if the `TypeId` is the same, `false` if not. Pointers count here.
    pub(crate) fn is(self, other: Self) -> bool {
        (self.0.id)() == (other.0.id)()
    }

    /// Returns `true` if a value stored as this type may be read as `other`, `false` if not.
    ///
    /// Not an equivalence: if two types share a name, an `Arc` of either reads as both.
    #[inline]
    pub(crate) fn reads_as(self, other: Self) -> bool {
        // Almost every read asks for the stored type, and the addresses are equal.
        std::ptr::eq(self.0, other.0) || self.is_same_type(other)
    }

    /// Compares two types with different addresses; a small table per thread remembers equal
    /// pairs.
    ///
    /// Comparing names takes longer than looking a key up, and a caller that puts a `&User` and
    /// reads a `User` would compare names in every read.
    fn is_same_type(self, other: Self) -> bool {
        thread_local! {
            /// Pairs found to be the same type. A newer pair overwrites an older pair of the
            /// same place.
            static SAME: [Cell<(usize, usize)>; 8] = const { [const { Cell::new((0, 0)) }; 8] };
        }
        let pair = (self.address(), other.address());
        // An `Info` takes 16 bytes and is aligned to 8, so the lowest bits tell nothing.
        let place = (pair.0 >> 4 ^ pair.1 >> 5) % 8;
        let known = SAME.try_with(|same| same[place].get() == pair);
        if known == Ok(true) {
            return true;
        }
        let is_same = self.is(other) || same_behind_pointers(self.name(), other.name());
        if is_same {
            // Fails in a thread that is ending: the table is already dropped.
            let _ = SAME.try_with(|same| same[place].set(pair));
        }
        is_same
    }

    /// Returns the address of the `Info`. Equal addresses mean the same type; a type may have
    /// several addresses.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    /// Returns the full path of the type, for messages.
    pub(crate) fn name(self) -> &'static str {
        (self.0.name)()
    }
}

impl fmt::Debug for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns `true` if two names mean the same type behind pointers, `false` if not. For types
/// with different `TypeId`s.
fn same_behind_pointers(a: &str, b: &str) -> bool {
    let (plain_a, plain_b) = (peel(a), peel(b));
    // A bare `str` or slice counts as peeled: such a type exists behind a pointer only.
    let is_bare = |name: &str| name == "str" || slice_item(name).is_some();
    let peeled = plain_a != a || plain_b != b || is_bare(a) || is_bare(b);
    peeled && PlainName::of(plain_a) == PlainName::of(plain_b)
}

/// Returns the name behind all outermost pointers.
fn peel(mut name: &str) -> &str {
    while let Some(inner) = peel_once(name) {
        name = inner;
    }
    name
}

/// Returns the name behind the outermost pointer, `None` if there is none.
fn peel_once(name: &str) -> Option<&str> {
    const POINTERS: [&str; 4] = [
        "alloc::boxed::Box<",
        "alloc::sync::Arc<",
        "alloc::rc::Rc<",
        "alloc::borrow::Cow<",
    ];
    if let Some(target) = name.strip_prefix('&') {
        // `&'a T` and `&'a mut T` have the same prefix, with or without the lifetime.
        let target = without_lifetime(target, " ");
        return Some(target.strip_prefix("mut ").unwrap_or(target));
    }
    let inner = POINTERS.iter().find_map(|form| name.strip_prefix(form))?;
    // `type_name` writes `Cow<'_, str>` since Rust 1.91, and `Cow<str>` before.
    Some(without_lifetime(inner.strip_suffix('>')?, ", "))
}

/// Returns the name without a leading lifetime and the separator `then` after the lifetime.
fn without_lifetime<'a>(name: &'a str, then: &str) -> &'a str {
    match (name.starts_with('\''), name.split_once(then)) {
        (true, Some((_, rest))) => rest,
        _ => name,
    }
}

/// A peeled name, with borrowed forms replaced by the owned forms.
#[derive(PartialEq)]
enum PlainName<'a> {
    Named(&'a str),
    /// `str` or `String`.
    String,
    /// `[T]` or `Vec<T>`, with the name of `T`.
    VecOf(&'a str),
}

impl<'a> PlainName<'a> {
    fn of(name: &'a str) -> Self {
        if name == "str" || name == "alloc::string::String" {
            return Self::String;
        }
        if let Some(item) = slice_item(name) {
            return Self::VecOf(item);
        }
        let vec = name.strip_prefix("alloc::vec::Vec<");
        match vec.and_then(|rest| rest.strip_suffix('>')) {
            Some(item) => Self::VecOf(item),
            None => Self::Named(name),
        }
    }
}

/// Returns the name of `T` for `[T]`, `None` for other names.
fn slice_item(name: &str) -> Option<&str> {
    let item = name.strip_prefix('[')?.strip_suffix(']')?;
    // The name of an array ends with `; ` and the length. A slice of a type such as
    // `Marked<';'>` contains a semicolon too, but no digits after the last.
    let is_length = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_array = matches!(item.rsplit_once("; "), Some((_, length)) if is_length(length));
    (!is_array).then_some(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::rc::Rc;
    use std::sync::Arc;

    fn same<A: ?Sized, B: ?Sized>() -> bool {
        let (a, b) = (TypeTag::of::<A>(), TypeTag::of::<B>());
        let same = a.reads_as(b);
        assert_eq!(same, b.reads_as(a), "`reads_as` must be symmetric");
        same
    }

    #[test]
    fn lifetimes_are_ignored() {
        #[allow(dead_code, reason = "only the type matters")]
        struct Borrows<'a>(&'a str);
        fn tag<'a>(_: &'a str) -> TypeTag {
            TypeTag::of::<Borrows<'a>>()
        }
        let short = tag(&String::from("short"));
        assert!(short.reads_as(TypeTag::of::<Borrows<'static>>()));
    }

    #[test]
    fn outermost_pointers_are_peeled() {
        assert!(same::<String, &str>());
        assert!(same::<String, Cow<'static, str>>());
        assert!(same::<Box<str>, Arc<String>>());
        assert!(same::<Vec<u8>, &[u8]>());
        assert!(same::<Vec<[u8; 3]>, &[[u8; 3]]>());
        assert!(same::<Rc<Box<Vec<String>>>, &Vec<String>>());
        assert!(same::<str, String>());
        assert!(same::<[u8], Vec<u8>>());
        assert!(!same::<str, [u8]>());
        assert!(same::<&mut u32, u32>());
        assert!(same::<Cow<'static, [u8]>, Arc<[u8]>>());
    }

    #[test]
    fn pointers_inside_another_type_are_not_peeled() {
        // A codec may encode both alike, but a field is not a value that a caller passed.
        assert!(!same::<Option<&str>, Option<String>>());
        assert!(!same::<Vec<&str>, Vec<String>>());
        assert!(!same::<&[&str], Vec<String>>());
        assert!(!same::<(Box<u8>,), (u8,)>());
    }

    #[test]
    fn arrays_are_not_slices() {
        struct Marked<const MARK: char>;
        assert!(!same::<&[u8; 3], &[u8]>());
        assert!(!same::<[u8; 3], Vec<u8>>());
        assert!(same::<&[u8; 3], [u8; 3]>());
        assert!(same::<&[[u8; 3]], Vec<[u8; 3]>>());
        assert!(same::<&[Marked<';'>], Vec<Marked<';'>>>());
        assert!(same::<&[Marked<'['>], Vec<Marked<'['>>>());
    }

    #[test]
    fn types_with_the_same_name_are_not_the_same() {
        // Three structs called `User`. Rust gives the two in blocks the same path.
        fn first() -> TypeTag {
            struct User;
            TypeTag::of::<User>()
        }
        let (a, b) = {
            let a = {
                struct User;
                TypeTag::of::<User>()
            };
            let b = {
                struct User;
                TypeTag::of::<User>()
            };
            (a, b)
        };
        assert_eq!(a.name(), b.name());
        assert!(!a.reads_as(b));
        assert!(!a.reads_as(first()));
    }

    #[test]
    fn integer_types_of_the_same_size_differ() {
        assert!(!same::<i64, u64>());
        assert!(!same::<&i64, Box<u64>>());
    }
}
