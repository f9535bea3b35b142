//! Short ways to make typed parameters.

use crate::remote::{TypedParam, TypedParamValue};

macro_rules! constructors {
    ($($method:ident $variant:ident $type:ty, $about:literal;)*) => {
        impl TypedParam {
            $(
                #[doc = $about]
                pub fn $method(field: impl Into<String>, value: $type) -> Self {
                    TypedParam { field: field.into(), value: TypedParamValue::$variant(value) }
                }
            )*

            /// A string parameter.
            pub fn string(field: impl Into<String>, value: impl Into<String>) -> Self {
                TypedParam { field: field.into(), value: TypedParamValue::String(value.into()) }
            }

            /// A boolean parameter.
            pub fn boolean(field: impl Into<String>, value: bool) -> Self {
                TypedParam { field: field.into(), value: TypedParamValue::Boolean(value.into()) }
            }
        }
    };
}

constructors! {
    int Int i32, "A signed 32 bit parameter.";
    uint Uint u32, "An unsigned 32 bit parameter.";
    llong Llong i64, "A signed 64 bit parameter.";
    ullong Ullong u64, "An unsigned 64 bit parameter.";
    double Double f64, "A floating point parameter.";
}
