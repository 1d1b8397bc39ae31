//! JSON objects. (Stub until the http branch lands.)
use crate::chat::message::Message;
/// How objects look.
#[derive(Debug)]
pub struct Presenter;
impl Presenter {
    /// A presenter.
    pub fn new(_public_url: &str, _mask_contacts: bool) -> Self {
        Self
    }
    /// A message.
    pub fn message(&self, out: &mut Vec<u8>, message: &Message) {
        out.extend_from_slice(format!(r#"{{"id":"{}","content":""}}"#, message.id).as_bytes());
    }
}
