//! A file on its way: `multipart/form-data` (RFC 7578), as Stripe's file endpoint takes it
//! (<https://docs.stripe.com/file-upload>). Pure.

use std::fmt::Write as _;

use bytes::Bytes;
use partita_provider::EvidenceFile;
use sha2::{Digest as _, Sha256};

/// Where files go, on a host of its own.
pub(crate) const PATH: &str = "/v1/files";

/// A body and its content type.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// The form that hands over a file of evidence. Its boundary is the file's own hash, which nobody can write into it: another
/// file has another one.
pub(crate) fn evidence(file: &EvidenceFile) -> Form {
    let hash: [u8; 32] = Sha256::digest(&file.bytes).into();
    let boundary = format!("partita-{}", hex::encode(&hash[..16]));
    let mut head = String::new();
    write!(
        head,
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndispute_evidence\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
         Content-Type: {}\r\n\r\n",
        escaped(&file.name),
        file.kind.media_type()
    )
    .expect("strings take everything");
    let body = [head.as_bytes(), &file.bytes, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    Form { content_type: format!("multipart/form-data; boundary={boundary}"), body: body.into() }
}

/// A name inside quotes, as browsers write it (<https://html.spec.whatwg.org/#multipart-form-data>).
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use partita_provider::FileKind;

    use super::*;

    #[test]
    fn a_form_has_its_purpose_and_the_file_byte_for_byte() {
        let file =
            EvidenceFile { name: "a \"b\".png".into(), kind: FileKind::Png, bytes: vec![0x89, b'P', 13, 10, 0].into() };
        let form = evidence(&file);
        let expected = [
            b"--partita-b224503bbc2a56eaa6d83ea84f9bb3e7\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndispute_evidence\r\n\
              --partita-b224503bbc2a56eaa6d83ea84f9bb3e7\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22.png\"\r\n\
              Content-Type: image/png\r\n\r\n"
                .as_slice(),
            &file.bytes[..],
            b"\r\n--partita-b224503bbc2a56eaa6d83ea84f9bb3e7--\r\n".as_slice(),
        ]
        .concat();
        assert_eq!(form.body, expected);
        assert_eq!(form.content_type, "multipart/form-data; boundary=partita-b224503bbc2a56eaa6d83ea84f9bb3e7");
    }
}
