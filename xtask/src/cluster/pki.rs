//! Keys and certificates of the test cluster, made once and kept.

use super::net::NODE;
use crate::sh;
use anyhow::Result;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const NAMES: &str = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
                     DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:198.18.4.1,IP:";

/// Makes the authority, the apiserver's certificate, the key that signs service-account tokens and the administrator's token.
pub fn ensure(dir: &Path) -> Result<()> {
    if dir.join("tokens.csv").is_file() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    let openssl = |args: &str| {
        let mut cmd = Command::new("openssl");
        sh::output(cmd.current_dir(dir).args(args.split_whitespace()))
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=tributary-test-ca"))?;
    openssl(&format!(
        "req -x509 {key} -CA ca.crt -CAkey ca.key -keyout api.key -out api.crt -subj /O=system:masters/CN=kube-apiserver \
         -addext subjectAltName={NAMES}{NODE} -addext basicConstraints=critical,CA:false"
    ))?;
    openssl("ecparam -name prime256v1 -genkey -noout -out sa.key")?;
    openssl("ec -in sa.key -pubout -out sa.pub")?;
    let token = openssl("rand -hex 16")?;
    // Last: its presence says that all is there.
    Ok(fs::write(dir.join("tokens.csv"), format!("{},admin,admin,system:masters\n", token.trim()))?)
}

/// The administrator's token.
pub fn token(dir: &Path) -> Result<String> {
    let text = fs::read_to_string(dir.join("tokens.csv"))?;
    Ok(text.split(',').next().unwrap_or_default().to_string())
}

/// The authority's certificate as a kubeconfig wants it.
pub fn authority(dir: &Path) -> Result<String> {
    sh::output(Command::new("openssl").args(["base64", "-A", "-in"]).arg(dir.join("ca.crt")))
}
