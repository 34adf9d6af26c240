//! Which type a value was stored as, and when two types are one.
//!
//! Two types are one if their `TypeId` is, lifetimes ignored. They are also one
//! if one is the other behind outermost `&`, `&mut`, `Box`, `Arc`, `Rc` or
//! `Cow`, with `str` as `String` and `[T]` as `Vec<T>`: serde writes these forms
//! alike, and a caller puts a `&str` to read a `String`.
//!
//! What stands behind such a form has no `TypeId` to ask from here, so it is
//! compared by name. Names are no identity (two structs in two blocks of one
//! function share theirs), so they decide only where peeling changed one. The form
//! of a type's name is no promise of Rust's: should it change, a read behind a
//! pointer becomes an error, never garbage.

use std::any::{TypeId, type_name};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// The type of a stored value: one pointer.
#[derive(Clone, Copy)]
pub(crate) struct TypeTag(&'static Info);

/// Functions in place of their results, which a constant cannot hold in Rust 1.85.
struct Info {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

/// Where the `Info` of `V` lives.
struct InfoOf<V: ?Sized>(PhantomData<V>);

impl<V: ?Sized> InfoOf<V> {
    const INFO: &'static Info = &Info {
        id: typeid::of::<V>,
        name: type_name::<V>,
    };
}

impl TypeTag {
    #[inline]
    pub(crate) fn of<V: ?Sized>() -> Self {
        Self(InfoOf::<V>::INFO)
    }

    /// Whether it is the same type.
    pub(crate) fn is(self, other: Self) -> bool {
        (self.0.id)() == (other.0.id)()
    }

    /// Whether a value stored as this type may be read as the other.
    ///
    /// No equality: an `Arc` of either of two types with one name reads as both.
    #[inline]
    pub(crate) fn reads_as(self, other: Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.is_one_with(other)
    }

    /// Answers from memory where it can: names take longer to compare than a key to look
    /// up, and who puts a `&User` to read a `User` has them compared in every read.
    fn is_one_with(self, other: Self) -> bool {
        thread_local! {
            /// Pairs that were found to be one, each in a place of its own or another's.
            static ONE: [Cell<(usize, usize)>; 8] = const { [const { Cell::new((0, 0)) }; 8] };
        }
        let pair = (self.address(), other.address());
        // Addresses of `Info` are multiples of eight, and sixteen apart.
        let place = (pair.0 >> 4 ^ pair.1 >> 5) % 8;
        let known = ONE.try_with(|one| one[place].get() == pair);
        if known == Ok(true) {
            return true;
        }
        let is_one = self.is(other) || same_behind_pointers(self.name(), other.name());
        if is_one {
            // A thread that is ending remembers nothing.
            let _ = ONE.try_with(|one| one[place].set(pair));
        }
        is_one
    }

    /// Equal addresses are one type; one type may have several.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    /// The type's full path, for messages.
    pub(crate) fn name(self) -> &'static str {
        (self.0.name)()
    }
}

impl fmt::Debug for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether two names that differ in `TypeId` mean one type all the same.
fn same_behind_pointers(a: &str, b: &str) -> bool {
    let (plain_a, plain_b) = (peel(a), peel(b));
    // A `str` by itself, or a slice, is what a peeled pointer leaves.
    let is_bare = |name: &str| name == "str" || slice_item(name).is_some();
    let peeled = plain_a != a || plain_b != b || is_bare(a) || is_bare(b);
    peeled && PlainName::of(plain_a) == PlainName::of(plain_b)
}

/// The name behind every outermost pointer.
fn peel(mut name: &str) -> &str {
    while let Some(inner) = peel_once(name) {
        name = inner;
    }
    name
}

fn peel_once(name: &str) -> Option<&str> {
    const POINTERS: [&str; 4] = [
        "alloc::boxed::Box<",
        "alloc::sync::Arc<",
        "alloc::rc::Rc<",
        "alloc::borrow::Cow<",
    ];
    if let Some(target) = name.strip_prefix('&') {
        let target = without_lifetime(target, " ");
        return Some(target.strip_prefix("mut ").unwrap_or(target));
    }
    let inner = POINTERS.iter().find_map(|form| name.strip_prefix(form))?;
    // `Cow<'_, str>` since Rust 1.91, `Cow<str>` before.
    Some(without_lifetime(inner.strip_suffix('>')?, ", "))
}

/// The name without a leading lifetime and what parts it from the rest.
fn without_lifetime<'a>(name: &'a str, then: &str) -> &'a str {
    match (name.starts_with('\''), name.split_once(then)) {
        (true, Some((_, rest))) => rest,
        _ => name,
    }
}

/// A peeled name, its borrowed forms taken for their owned ones.
#[derive(PartialEq)]
enum PlainName<'a> {
    Named(&'a str),
    SmallBytes,
    VecOf(&'a str),
}

impl<'a> PlainName<'a> {
    fn of(name: &'a str) -> Self {
        if name == "str" || name == "alloc::string::String" {
            return Self::SmallBytes;
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

/// `T` of `[T]`. An array's name ends with its length.
fn slice_item(name: &str) -> Option<&str> {
    let item = name.strip_prefix('[')?.strip_suffix(']')?;
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
        let there = a.reads_as(b);
        assert_eq!(there, b.reads_as(a), "what reads there reads back");
        there
    }

    #[test]
    fn lifetimes_are_ignored() {
        #[allow(dead_code, reason = "only its type is looked at")]
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
    fn inside_another_type_there_is_no_grace() {
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
    fn a_name_alone_is_no_identity() {
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
    fn numbers_are_told_apart() {
        assert!(!same::<i64, u64>());
        assert!(!same::<&i64, Box<u64>>());
    }
}
