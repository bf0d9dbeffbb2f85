//! A file on its way: `multipart/form-data` (RFC 7578), as Stripe's file endpoint takes it
//! (<https://docs.stripe.com/file-upload>). Pure.

use std::fmt::Write as _;

use partita_provider::EvidenceFile;

/// Where files go, on a host of its own.
pub(crate) const PATH: &str = "/v1/files";

/// A body and its content type.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// The form that hands over a file of evidence.
pub(crate) fn evidence(file: &EvidenceFile) -> Form {
    let boundary = boundary(&file.bytes);
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
    let body = [head.as_bytes(), file.bytes.as_slice(), format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    Form { content_type: format!("multipart/form-data; boundary={boundary}"), body }
}

/// A boundary that the file does not hold.
fn boundary(bytes: &[u8]) -> String {
    (0..=u64::MAX)
        .map(|number| format!("partita-{number:016x}"))
        .find(|boundary| !bytes.windows(boundary.len()).any(|window| window == boundary.as_bytes()))
        .expect("a file has fewer places than there are boundaries")
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
        let file = EvidenceFile { name: "a \"b\".png".into(), kind: FileKind::Png, bytes: vec![0x89, b'P', 13, 10, 0] };
        let form = evidence(&file);
        let expected = [
            b"--partita-0000000000000000\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndispute_evidence\r\n\
              --partita-0000000000000000\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22.png\"\r\n\
              Content-Type: image/png\r\n\r\n"
                .as_slice(),
            file.bytes.as_slice(),
            b"\r\n--partita-0000000000000000--\r\n".as_slice(),
        ]
        .concat();
        assert_eq!(form.body, expected);
        assert_eq!(form.content_type, "multipart/form-data; boundary=partita-0000000000000000");
    }

    #[test]
    fn the_boundary_is_one_that_the_file_does_not_hold() {
        assert_eq!(boundary(b"x--partita-0000000000000000y partita-0000000000000001"), "partita-0000000000000002");
    }
}
