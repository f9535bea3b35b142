//! Closed sets of words that attributes may hold.

/// An enum whose variants have a word each.
pub trait Vocabulary: Copy + PartialEq + 'static {
    /// All variants with their words, in libvirt's order.
    const WORDS: &'static [(Self, &'static str)];

    /// The variant of a word.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, w)| *w == word).map(|(v, _)| *v)
    }

    /// The word of the variant.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(v, _)| *v == self).map_or("", |(_, w)| w)
    }
}

/// Declares an enum with a word for each variant: `text_enum! { /// Bus of a disk. pub enum Bus { Ide = "ide", Virtio = "virtio" } }`.
/// It implements [`Vocabulary`](crate::Vocabulary) and `Display`.
#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vmeta])* #[doc = concat!("`", $word, "`")] $variant),+ }
        impl $crate::Vocabulary for $name {
            const WORDS: &'static [(Self, &'static str)] = &[$(($name::$variant, $word)),+];
            fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str($crate::Vocabulary::word(*self))
            }
        }
    };
}
