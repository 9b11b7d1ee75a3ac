#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/evp.h>

#include <array>

#include "controlplane/compile/compile.h"

namespace headgate::compile {

std::string digest_of(const dataplane::v1::Snapshot& snapshot) {
  dataplane::v1::Snapshot canonical = snapshot;
  canonical.clear_generation();
  canonical.clear_digest();
  for (auto& pool : *canonical.mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) {
      backend.clear_health();
      backend.clear_weight();
      backend.clear_drain();
    }
  }
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    canonical.SerializeToCodedStream(&coded);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), &length, EVP_sha256(), nullptr);
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += "0123456789abcdef"[hash[i] >> 4];
    text += "0123456789abcdef"[hash[i] & 15];
  }
  return text;
}

}  // namespace headgate::compile
