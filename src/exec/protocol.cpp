#include "exec/protocol.hpp"

#include <concepts>
#include <type_traits>
#include <utility>

#include "base/format.hpp"

namespace shoal::exec {
namespace {

constexpr std::size_t kLengthBytes = 4;

enum class FrameType : std::uint8_t {
  hello = 16,
  launch = 17,
  kill = 18,
  extend = 19,
  settled = 20,
  quit = 21,
  ping = 22,
  welcome = 32,
  running = 33,
  ended = 34,
  reported = 35,
  pong = 36,
};

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

void put(std::string& out, const AttemptId& attempt) {
  put(out, attempt.task.job.value);
  put(out, attempt.task.index);
  put(out, attempt.number);
}

void put(std::string& out, TimePoint moment) {
  put(out, static_cast<std::int64_t>(moment.time_since_epoch().count()));
}

void put(std::string& out, WallTime time) {
  put(out, static_cast<std::int64_t>(time.time_since_epoch().count()));
}

void put_body(std::string& out, const HelloMessage& message) {
  put(out, std::to_underlying(FrameType::hello));
  put(out, message.protocol);
  put(out, std::string_view(message.build));
}

void put_body(std::string& out, const LaunchMessage& message) {
  put(out, std::to_underlying(FrameType::launch));
  put(out, message.attempt);
  put(out, std::to_underlying(message.shard));
  put(out, message.cpu_millis);
  put(out, message.memory_bytes);
  put(out, message.lease_end);
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
  put(out, message.attempt);
  put(out, std::to_underlying(message.reason));
  put(out, message.grace);
}

void put_body(std::string& out, const ExtendMessage& message) {
  put(out, std::to_underlying(FrameType::extend));
  put(out, message.attempt);
  put(out, message.lease_end);
}

void put_body(std::string& out, const SettledMessage& message) {
  put(out, std::to_underlying(FrameType::settled));
  put(out, message.attempt);
}

void put_body(std::string& out, const QuitMessage&) {
  put(out, std::to_underlying(FrameType::quit));
}

void put_body(std::string& out, const PingMessage& message) {
  put(out, std::to_underlying(FrameType::ping));
  put(out, message.number);
}

void put_body(std::string& out, const WelcomeMessage& message) {
  put(out, std::to_underlying(FrameType::welcome));
  put(out, message.protocol);
  put(out, std::string_view(message.build));
  put(out, std::string_view(message.grouping));
}

void put_body(std::string& out, const RunningMessage& message) {
  const task::RecoveredAttempt& running = message.running;
  put(out, std::to_underlying(FrameType::running));
  put(out, running.attempt);
  put(out, std::to_underlying(running.shard));
  put(out, running.cpu_millis);
  put(out, running.memory_bytes);
  put(out, running.started);
  put(out, running.lease_end);
}

void put_body(std::string& out, const EndedMessage& message) {
  const AttemptResult& result = message.result;
  put(out, std::to_underlying(FrameType::ended));
  put(out, message.attempt);
  put(out, std::to_underlying(result.reason));
  put(out, result.exit_status);
  put(out, result.signal);
  put(out, result.started);
  put(out, result.ended);
  put(out, static_cast<std::uint64_t>(result.cpu_time.count()));
  put(out, result.memory_bytes_peak);
  for (std::size_t i = 0; i < 2; ++i) {
    put(out, result.output_bytes[i]);
    put(out, static_cast<std::uint8_t>(result.output_capped[i]));
    put(out, std::string_view(message.tails[i]));
  }
  put(out, std::string_view(result.message));
}

void put_body(std::string& out, const ReportedMessage&) {
  put(out, std::to_underlying(FrameType::reported));
}

void put_body(std::string& out, const PongMessage& message) {
  put(out, std::to_underlying(FrameType::pong));
  put(out, message.number);
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
    const bool known = value <= std::to_underlying(EndReason::node_stopped);
    return known ? EndReason{value} : EndReason::node_stopped;
  }

  WallTime time() { return WallTime(std::chrono::milliseconds(number<std::int64_t>())); }
  TimePoint moment() { return TimePoint(Duration(number<std::int64_t>())); }

  AttemptId attempt() {
    AttemptId attempt;
    attempt.task.job.value = number<std::uint64_t>();
    attempt.task.index = number<std::uint32_t>();
    attempt.number = number<std::uint32_t>();
    return attempt;
  }

  bool ok() const { return ok_; }

 private:
  bool take_possible(std::size_t count) {
    if (bytes_.size() < count) ok_ = false;
    return ok_;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

HelloMessage read_hello(Reader& reader) {
  HelloMessage message;
  message.protocol = reader.number<std::uint32_t>();
  message.build = reader.text();
  return message;
}

LaunchMessage read_launch(Reader& reader) {
  LaunchMessage message;
  message.attempt = reader.attempt();
  message.shard = ShardId{reader.number<std::uint32_t>()};
  message.cpu_millis = reader.number<std::uint32_t>();
  message.memory_bytes = reader.number<std::uint64_t>();
  message.lease_end = reader.moment();
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
  message.attempt = reader.attempt();
  message.reason = reader.reason();
  message.grace = reader.duration();
  return message;
}

ExtendMessage read_extend(Reader& reader) {
  ExtendMessage message;
  message.attempt = reader.attempt();
  message.lease_end = reader.moment();
  return message;
}

WelcomeMessage read_welcome(Reader& reader) {
  WelcomeMessage message;
  message.protocol = reader.number<std::uint32_t>();
  message.build = reader.text();
  message.grouping = reader.text();
  return message;
}

RunningMessage read_running(Reader& reader) {
  RunningMessage message;
  task::RecoveredAttempt& running = message.running;
  running.attempt = reader.attempt();
  running.shard = ShardId{reader.number<std::uint32_t>()};
  running.cpu_millis = reader.number<std::uint32_t>();
  running.memory_bytes = reader.number<std::uint64_t>();
  running.started = reader.time();
  running.lease_end = reader.moment();
  return message;
}

EndedMessage read_ended(Reader& reader) {
  EndedMessage message;
  message.attempt = reader.attempt();
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

// Absent: a type that this build does not know.
std::optional<Message> read_body(Reader& reader) {
  switch (FrameType{reader.number<std::uint8_t>()}) {
    case FrameType::hello:
      return read_hello(reader);
    case FrameType::launch:
      return read_launch(reader);
    case FrameType::kill:
      return read_kill(reader);
    case FrameType::extend:
      return read_extend(reader);
    case FrameType::settled:
      return SettledMessage{reader.attempt()};
    case FrameType::quit:
      return QuitMessage{};
    case FrameType::ping:
      return PingMessage{reader.number<std::uint64_t>()};
    case FrameType::welcome:
      return read_welcome(reader);
    case FrameType::running:
      return read_running(reader);
    case FrameType::ended:
      return read_ended(reader);
    case FrameType::reported:
      return ReportedMessage{};
    case FrameType::pong:
      return PongMessage{reader.number<std::uint64_t>()};
  }
  return std::nullopt;
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
  while (true) {
    const std::string_view rest = std::string_view(buffer_).substr(position_);
    if (rest.size() < kLengthBytes) return std::nullopt;
    Reader prefix(rest.substr(0, kLengthBytes));
    const std::size_t length = prefix.number<std::uint32_t>();
    if (length == 0 || length > kFrameBytesMax) return broken();
    if (rest.size() - kLengthBytes < length) return std::nullopt;
    Reader body(rest.substr(kLengthBytes, length));
    std::optional<Message> message = read_body(body);
    if (!body.ok()) return broken();
    position_ += kLengthBytes + length;
    if (message) return message;
  }
}

}  // namespace shoal::exec
