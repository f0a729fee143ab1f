//! Files of certificates and keys, as `check`, `run` and `reload` take them.

use crate::certificates::{Authority, Papers, Until};
use crate::folder::Folder;
use crate::run::{Running, folder};

/// A TLS listener beside the other, which shows `own.pem`.
fn listen(files: &Folder) {
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let listener = "[[listen]]\naddress = \"tls:127.0.0.1:25061\"\ncertificate = \"own.pem\"\n\
                    key = \"own.key\"\nclient_ca = \"clients.pem\"\n";
    files.write("tollgate.toml", &format!("{main}\n{listener}"));
}

fn put(files: &Folder, papers: &Papers) {
    files.write("own.pem", &papers.certificate);
    files.write("own.key", &papers.key);
}

#[test]
fn check_finds_what_is_wrong_with_certificates_and_keys() {
    let (files, authority) = (Folder::new(), Authority::new());
    let issue = |until| authority.issue(&["sip.example.net"], until);
    listen(&files);
    files.write("clients.pem", &authority.pem());
    put(&files, &issue(Until::Later));
    let said = files.check();
    assert_eq!(said.code, Some(0), "{said:?}");
    // Where the file is named, what is wrong with it, and what to do.
    let faulty = |at: &str, what: &[&str]| {
        let said = files.check();
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        let place = format!("tollgate.toml:{at}");
        for what in [place.as_str(), "^^^", "1 fault in the configuration"]
            .iter()
            .chain(what)
        {
            assert!(said.err.contains(what), "{what}: {}", said.err);
        }
    };
    let (certificate, key, clients) = ("19:15", "20:7", "21:13");
    files.write("own.key", &issue(Until::Later).key);
    faulty(
        key,
        &["`own.key` is not the key of `own.pem`", "name the key"],
    );
    std::fs::remove_file(files.path("own.key")).unwrap();
    faulty(key, &["own.key: No such file", "that Tollgate may read it"]);
    put(&files, &issue(Until::Long));
    faulty(certificate, &["`own.pem` has expired", "put a new one"]);
    put(&files, &issue(Until::Later));
    files.write("clients.pem", "nobody\n");
    faulty(clients, &["no certificate in `clients.pem`", "-----BEGIN"]);
    files.write("clients.pem", &authority.pem());
    put(&files, &issue(Until::Soon));
    let said = files.check();
    assert_eq!(said.code, Some(0), "{said:?}");
    let soon = "the certificate in `own.pem` expires within";
    assert!(
        said.err.contains(soon) && said.err.contains("put a new one"),
        "{said:?}"
    );
}

#[test]
fn a_broken_certificate_changes_nothing_and_a_good_one_is_taken() {
    let (files, authority) = (folder(), Authority::new());
    let issue = |until| authority.issue(&["sip.example.net"], until);
    listen(&files);
    files.write("clients.pem", &authority.pem());
    put(&files, &issue(Until::Later));
    let mut running = Running::start(&files, &[]);
    running.says("listening on TLS");
    let reload = || files.tollgate(&["reload", "-c", "tollgate.toml"]);
    for papers in [
        Papers {
            key: String::new(),
            ..issue(Until::Later)
        },
        issue(Until::Long),
    ] {
        put(&files, &papers);
        let said = reload();
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains("tollgate.toml:"), "{said:?}");
        assert!(
            said.err.contains("the rules stay as they were: 1 fault"),
            "{said:?}"
        );
    }
    put(&files, &issue(Until::Later));
    let said = reload();
    assert_eq!(said.code, Some(0), "{said:?}");
    running.stop();
    // No telephone is dead for a certificate that it does not need.
    files.write("own.pem", "");
    let mut running = Running::start(&files, &[]);
    running.says("error: there is no certificate in `own.pem`");
    running.says("listening on UDP");
    let status = files.tollgate(&["status", "-c", "tollgate.toml"]).out;
    assert!(status.contains("THE FILES ARE BROKEN"), "{status}");
    running.stop();
}
