// The files that `management` names: read, checked, and in the form that gRPC takes. And who a client's certificate is.
#pragma once

#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/config/result.h"

namespace headgate::app {

struct Credentials {
  std::string certificate, key, client_ca;  // PEM, the key without its passphrase
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// The error names the file and what is wrong with it.
config::Result<Credentials> load_credentials(const config::v1::Management& management);

struct CertificateNames {
  std::string common_name;
  std::vector<std::string> organizational_units;
};
CertificateNames names_of(const std::string& certificate_pem);

}  // namespace headgate::app
