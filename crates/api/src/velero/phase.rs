//! The macro for phases: closed for those that we know, open for those that later releases bring.

/// What a phase says about the end of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Not ended.
    Going,
    /// Ended well.
    Good,
    /// Ended, but not well.
    Bad,
}

macro_rules! phases {
    (
        $(#[$attr:meta])*
        pub enum $Phase:ident { $($(#[$doc:meta])* $Variant:ident = $outcome:ident,)+ }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $Phase {
            $($(#[$doc])* $Variant,)+
            /// One that this crate doesn't know, as it came. Taken for one that has not ended.
            Other(String),
        }

        impl $Phase {
            /// The phase in Velero's spelling.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$Variant => stringify!($Variant),)+
                    Self::Other(phase) => phase,
                }
            }

            /// Whether nothing more will happen.
            #[must_use]
            pub fn is_terminal(&self) -> bool {
                self.outcome() != $crate::velero::phase::Outcome::Going
            }

            /// Whether it ended well and in full.
            #[must_use]
            pub fn is_success(&self) -> bool {
                self.outcome() == $crate::velero::phase::Outcome::Good
            }

            fn outcome(&self) -> $crate::velero::phase::Outcome {
                match self {
                    $(Self::$Variant => $crate::velero::phase::Outcome::$outcome,)+
                    Self::Other(_) => $crate::velero::phase::Outcome::Going,
                }
            }
        }

        impl From<&str> for $Phase {
            fn from(phase: &str) -> Self {
                match phase {
                    $(stringify!($Variant) => Self::$Variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl ::std::fmt::Display for $Phase {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $Phase {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $Phase {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(<String as ::serde::Deserialize>::deserialize(deserializer)?.as_str()))
            }
        }
    };
}
pub(super) use phases;
