#include "exec/protocol.hpp"

#include <concepts>
#include <type_traits>
#include <utility>

#include "base/format.hpp"

namespace shoal::exec {
namespace {

constexpr std::size_t kLengthBytes = 4;

enum class FrameType : std::uint8_t { launch = 1, kill = 2, ended = 3 };

template <std::integral T>
void put(std::string& out, T value) {
  using Unsigned = std::make_unsigned_t<T>;
  auto bits = static_cast<std::uint64_t>(static_cast<Unsigned>(value));
  for (std::size_t i = 0; i < sizeof(T); ++i, bits >>= 8) {
    out.push_back(static_cast<char>(bits & 0xff));
  }
}

void put(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

void put(std::string& out, const std::vector<std::string>& texts) {
  put(out, static_cast<std::uint32_t>(texts.size()));
  for (const std::string& text : texts) put(out, std::string_view(text));
}

void put(std::string& out, std::chrono::milliseconds duration) {
  put(out, static_cast<std::uint64_t>(duration.count()));
}

void put_body(std::string& out, const LaunchMessage& message) {
  put(out, std::to_underlying(FrameType::launch));
  put(out, message.launch);
  put(out, message.timeout);
  put(out, message.output_bytes_max);
  put(out, static_cast<std::uint8_t>(message.scratch));
  put(out, std::string_view(message.working_folder));
  put(out, std::string_view(message.stdin_file));
  for (const std::string& file : message.output_files) put(out, std::string_view(file));
  put(out, message.argv);
  put(out, message.environment);
}

void put_body(std::string& out, const KillMessage& message) {
  put(out, std::to_underlying(FrameType::kill));
  put(out, message.launch);
  put(out, std::to_underlying(message.reason));
  put(out, message.grace);
}

void put_body(std::string& out, const EndedMessage& message) {
  const AttemptResult& result = message.result;
  put(out, std::to_underlying(FrameType::ended));
  put(out, message.launch);
  put(out, std::to_underlying(result.reason));
  put(out, result.exit_status);
  put(out, result.signal);
  put(out, static_cast<std::int64_t>(result.started.time_since_epoch().count()));
  put(out, static_cast<std::int64_t>(result.ended.time_since_epoch().count()));
  put(out, static_cast<std::uint64_t>(result.cpu_time.count()));
  put(out, result.memory_bytes_peak);
  for (std::size_t i = 0; i < 2; ++i) {
    put(out, result.output_bytes[i]);
    put(out, static_cast<std::uint8_t>(result.output_capped[i]));
    put(out, std::string_view(message.tails[i]));
  }
  put(out, std::string_view(result.message));
}

// Reads a frame's body. The first value that is not there or out of range makes ok() false for
// good; what is read after that is empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <std::integral T>
  T number() {
    if (!take_possible(sizeof(T))) return T{};
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bits |= std::uint64_t{static_cast<std::uint8_t>(bytes_[i])} << (8 * i);
    }
    bytes_.remove_prefix(sizeof(T));
    return static_cast<T>(bits);
  }

  std::string text() {
    const std::size_t length = number<std::uint32_t>();
    if (!take_possible(length)) return {};
    std::string text(bytes_.substr(0, length));
    bytes_.remove_prefix(length);
    return text;
  }

  std::vector<std::string> texts() {
    const std::size_t count = number<std::uint32_t>();
    std::vector<std::string> texts;
    if (count > bytes_.size() / kLengthBytes) ok_ = false;  // Each text takes at least its length.
    for (std::size_t i = 0; ok_ && i < count; ++i) texts.push_back(text());
    return texts;
  }

  bool flag() {
    const auto value = number<std::uint8_t>();
    if (value > 1) ok_ = false;
    return value == 1;
  }

  std::chrono::milliseconds duration() {
    const auto value = number<std::uint64_t>();
    // A longer one would overflow when it is added to a clock's reading.
    constexpr std::uint64_t kMax = std::uint64_t{100} * 365 * 24 * 3600 * 1000;
    return std::chrono::milliseconds(static_cast<std::int64_t>(value < kMax ? value : kMax));
  }

  EndReason reason() {
    const auto value = number<std::uint8_t>();
    if (value > std::to_underlying(EndReason::node_stopped)) ok_ = false;
    return ok_ ? EndReason{value} : EndReason::exited;
  }

  WallTime time() { return WallTime(std::chrono::milliseconds(number<std::int64_t>())); }

  bool finished() const { return ok_ && bytes_.empty(); }

 private:
  bool take_possible(std::size_t count) {
    if (bytes_.size() < count) ok_ = false;
    return ok_;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

LaunchMessage read_launch(Reader& reader) {
  LaunchMessage message;
  message.launch = reader.number<std::uint64_t>();
  message.timeout = reader.duration();
  message.output_bytes_max = reader.number<std::uint64_t>();
  message.scratch = reader.flag();
  message.working_folder = reader.text();
  message.stdin_file = reader.text();
  for (std::string& file : message.output_files) file = reader.text();
  message.argv = reader.texts();
  message.environment = reader.texts();
  return message;
}

KillMessage read_kill(Reader& reader) {
  KillMessage message;
  message.launch = reader.number<std::uint64_t>();
  message.reason = reader.reason();
  message.grace = reader.duration();
  return message;
}

EndedMessage read_ended(Reader& reader) {
  EndedMessage message;
  message.launch = reader.number<std::uint64_t>();
  AttemptResult& result = message.result;
  result.reason = reader.reason();
  result.exit_status = reader.number<std::int32_t>();
  result.signal = reader.number<std::int32_t>();
  result.started = reader.time();
  result.ended = reader.time();
  const auto cpu_time = reader.number<std::uint64_t>();
  result.cpu_time = std::chrono::microseconds(static_cast<std::int64_t>(cpu_time));
  result.memory_bytes_peak = reader.number<std::uint64_t>();
  for (std::size_t i = 0; i < 2; ++i) {
    result.output_bytes[i] = reader.number<std::uint64_t>();
    result.output_capped[i] = reader.flag();
    message.tails[i] = reader.text();
  }
  result.message = reader.text();
  return message;
}

std::optional<Message> read_body(std::string_view body) {
  Reader reader(body);
  Message message;
  switch (FrameType{reader.number<std::uint8_t>()}) {
    case FrameType::launch:
      message = read_launch(reader);
      break;
    case FrameType::kill:
      message = read_kill(reader);
      break;
    case FrameType::ended:
      message = read_ended(reader);
      break;
    default:
      return std::nullopt;
  }
  if (!reader.finished()) return std::nullopt;
  return message;
}

}  // namespace

Result<void> append_frame(std::string& out, const Message& message) {
  const std::size_t start = out.size();
  out.append(kLengthBytes, '\0');
  std::visit([&out](const auto& value) { put_body(out, value); }, message);
  const std::size_t length = out.size() - start - kLengthBytes;
  if (length > kFrameBytesMax) {
    out.resize(start);
    return fail(ErrorCode::bad_input,
                format("the command with its environment takes {} bytes, more than a supervisor "
                       "accepts ({}): shorten it, or pass data in a file",
                       length, kFrameBytesMax));
  }
  std::string prefix;
  put(prefix, static_cast<std::uint32_t>(length));
  out.replace(start, kLengthBytes, prefix);
  return {};
}

void Decoder::feed(std::string_view bytes) {
  if (position_ > 0) {
    buffer_.erase(0, position_);
    position_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<Message>> Decoder::next() {
  const auto broken = [this] {
    broken_ = true;
    buffer_.clear();
    position_ = 0;
    return fail(ErrorCode::io, "the other side of a supervisor's socket sent what is no message");
  };
  if (broken_) return broken();
  const std::string_view rest = std::string_view(buffer_).substr(position_);
  if (rest.size() < kLengthBytes) return std::nullopt;
  Reader prefix(rest.substr(0, kLengthBytes));
  const std::size_t length = prefix.number<std::uint32_t>();
  if (length > kFrameBytesMax) return broken();
  if (rest.size() - kLengthBytes < length) return std::nullopt;
  std::optional<Message> message = read_body(rest.substr(kLengthBytes, length));
  if (!message) return broken();
  position_ += kLengthBytes + length;
  return message;
}

}  // namespace shoal::exec
