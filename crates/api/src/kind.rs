//! The macro that makes a Kubernetes kind out of a spec and a status.
//!
//! Not `#[derive(kube::CustomResource)]`, for one reason: its root type demands `spec`, in the schema
//! and when decoding, and Kurator's doesn't. A stored object without `spec` has to decode.

macro_rules! kind {
    (
        $(#[$attr:meta])*
        pub struct $Kind:ident in $group:literal / $version:literal as $plural:literal {
            spec: $Spec:ty,
            status: $Status:ty,
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Deserialize)]
        pub struct $Kind {
            /// Standard object metadata.
            #[serde(default)]
            pub metadata: ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What is wanted. An absent one reads as empty.
            #[serde(default, deserialize_with = "crate::encoding::null_as_empty")]
            pub spec: $Spec,
            /// What was observed.
            #[serde(default)]
            pub status: Option<$Status>,
        }

        impl $Kind {
            /// An object with this name and spec, without a namespace and a status.
            #[must_use]
            pub fn new(name: &str, spec: $Spec) -> Self {
                let mut object = Self { spec, ..Self::default() };
                object.metadata.name = Some(name.to_owned());
                object
            }
        }

        // By hand, because `apiVersion` and `kind` are facts of the type and not fields of it.
        impl ::serde::Serialize for $Kind {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeStruct as _;
                let fields = 4 + usize::from(self.status.is_some());
                let mut object = serializer.serialize_struct(stringify!($Kind), fields)?;
                object.serialize_field("apiVersion", concat!($group, "/", $version))?;
                object.serialize_field("kind", stringify!($Kind))?;
                object.serialize_field("metadata", &self.metadata)?;
                object.serialize_field("spec", &self.spec)?;
                match &self.status {
                    Some(status) => object.serialize_field("status", status)?,
                    None => object.skip_field("status")?,
                }
                object.end()
            }
        }

        impl ::kube::core::Resource for $Kind {
            type DynamicType = ();
            type Scope = ::kube::core::NamespaceResourceScope;

            fn kind((): &()) -> ::std::borrow::Cow<'_, str> {
                stringify!($Kind).into()
            }
            fn group((): &()) -> ::std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> ::std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn plural((): &()) -> ::std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }

        impl ::kube::core::object::HasSpec for $Kind {
            type Spec = $Spec;
            fn spec(&self) -> &Self::Spec {
                &self.spec
            }
            fn spec_mut(&mut self) -> &mut Self::Spec {
                &mut self.spec
            }
        }

        impl ::kube::core::object::HasStatus for $Kind {
            type Status = $Status;
            fn status(&self) -> Option<&Self::Status> {
                self.status.as_ref()
            }
            fn status_mut(&mut self) -> &mut Option<Self::Status> {
                &mut self.status
            }
        }
    };
}
pub(crate) use kind;
