// libFuzzer on everything that decodes bytes of others. What is accepted must survive the codec.
//
//   cmake -S . -B build/fuzz -G Ninja -DSHOAL_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
//     -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19 \
//     -DCMAKE_CXX_FLAGS=-fsanitize=address,undefined,fuzzer-no-link
//   ninja -C build/fuzz fuzz_codec && build/fuzz/bin/fuzz_codec -max_total_time=60 -max_len=4096
#include "base/assert.hpp"
#include "random_message.hpp"
#include "wire/codec.hpp"
#include "wire/frame.hpp"
#include "wire/persist.hpp"

namespace shoal::wire {
namespace {

template <class T, class Decode>
void check_value(std::string_view bytes, const Decode& decode) {
  const Result<T> value = decode(bytes);
  if (!value) return;
  const Result<T> again = decode(encode(*value));
  SHOAL_ASSERT(again.has_value() && same(*again, *value));
}

template <class M, class Encode, class Decode>
void check_messages(std::string_view bytes, const Encode& encode_all, const Decode& decode) {
  const Result<std::vector<M>> messages = decode(bytes);
  if (!messages) return;
  std::vector<M> again;
  for (const std::string& body : encode_all(std::span<const M>(*messages))) {
    auto some = decode(body);
    SHOAL_ASSERT(some.has_value());
    for (M& message : *some) again.push_back(std::move(message));
  }
  SHOAL_ASSERT(same(again, *messages));
}

}  // namespace
}  // namespace shoal::wire

// The first byte chooses what the rest is read as.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal::wire;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (*data % 9) {
    case 0:
      check_messages<Message>(bytes, encode_messages, decode_messages);
      break;
    case 1:
      check_messages<ClientMessage>(bytes, encode_client_messages, decode_client_messages);
      break;
    case 2:
      check_value<ShardState>(bytes, decode_shard_state);
      break;
    case 3:
      check_value<shoal::task::TaskRecord>(bytes, decode_task);
      break;
    case 4:
      check_value<shoal::task::JobRecord>(bytes, decode_job);
      break;
    case 5:
      check_value<shoal::task::SpecRecord>(bytes, decode_spec);
      break;
    case 6:
      (void)parse_datagram(bytes);
      break;
    case 7:
      if (bytes.size() >= kFrameHeaderBytes) (void)parse_frame_header(bytes, kFrameBytesMax);
      break;
    default:
      (void)decode_hello(bytes);
  }
  return 0;
}
