//! The handlers of a path, and the methods that they are for: what the router serves and the schema describes.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::rest::app::App;

/// The handlers of one path.
#[derive(Debug, Default)]
pub struct Verbs {
    /// What the router serves.
    pub handlers: MethodRouter<Arc<App>>,
    /// The methods, in the order in which they were declared.
    pub methods: Vec<&'static str>,
}

impl Verbs {
    /// The handlers of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let handlers = self.handlers.merge(other.handlers);
        Self { handlers, methods: self.methods.into_iter().chain(other.methods).collect() }
    }

    /// Bounds the bodies of the handlers so far.
    #[must_use]
    pub fn layer(self, bound: DefaultBodyLimit) -> Self {
        Self { handlers: self.handlers.layer(bound), ..self }
    }
}

macro_rules! verbs {
    ($($name:ident $method:literal)*) => {
        $(
            #[doc = concat!("A handler of ", $method, ".")]
            pub fn $name<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> Verbs {
                Verbs { handlers: routing::$name(handler), methods: vec![$method] }
            }
        )*

        impl Verbs {
            $(
                #[doc = concat!("With a handler of ", $method, ".")]
                #[must_use]
                pub fn $name<H: Handler<T, Arc<App>>, T: 'static>(mut self, handler: H) -> Self {
                    self.methods.push($method);
                    Self { handlers: self.handlers.$name(handler), ..self }
                }
            )*
        }
    };
}

verbs! { get "GET" post "POST" put "PUT" patch "PATCH" delete "DELETE" }
