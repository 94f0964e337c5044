// How a relay is told what to do, on both sides.
#include <sys/resource.h>

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <random>
#include <thread>

#include "tools/chaos/relay.hpp"
#include "tools/chaos/run.hpp"

namespace shoal::chaos {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Local = asio::local::stream_protocol;

constexpr std::size_t kLineBytesMax = 256UL * 1024;
constexpr Ms kStartLimit{5'000};
constexpr std::size_t kSetWords = 5;  // set ID FOR FAULT LINKS

Result<std::vector<Link>> parse_links(const std::string& words) {
  std::vector<Link> links;
  for (const std::string& each : split(words, ',')) {
    const std::vector<std::string> ends = split(each, '>');
    if (ends.size() != 2) return fail(ErrorCode::bad_input, text("'", each, "' is no link"));
    links.push_back({ends.front(), ends.back()});
  }
  return links;
}

Result<Fault> parse_fault(const std::vector<std::string>& words) {
  const FaultRule* rule = find_rule(words[3]);
  if (rule == nullptr || rule->family != Family::network) {
    return fail(ErrorCode::bad_input, text("'", words[3], "' is no fault of the network"));
  }
  Fault fault{.kind = rule->kind};
  for (std::size_t i = kSetWords; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const auto parameter = std::ranges::find(rule->parameters, name, &ParameterRule::name);
    if (equals == std::string::npos || parameter == rule->parameters.end()) {
      return fail(ErrorCode::bad_input, text("'", words[i], "' is no parameter"));
    }
    auto value = parse_value(*parameter, words[i].substr(equals + 1));
    if (!value) return std::unexpected(value.error());
    fault.parameters[name] = *std::move(value);
  }
  return fault;
}

// Each stream takes two descriptors.
void raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

RelayPlace relay_place(const std::string& subnet, std::uint32_t number, std::uint32_t nodes) {
  constexpr std::uint16_t kPort = 27'461;
  constexpr std::uint32_t kFronts = 100;  // A front's last number is so much above its node's.
  return {.name = text(number <= nodes ? "n" : "x", number),
          .front = asio::ip::make_address(text(subnet, kFronts + number)),
          .own = asio::ip::make_address(text(subnet, number)),
          .port = kPort};
}

Result<void> Relay::set(const std::vector<std::string>& words) {
  if (words.size() < kSetWords) {
    return fail(ErrorCode::bad_input, "set ID FOR FAULT LINKS [NAME=VALUE...]");
  }
  const auto id = parse_number(words[1]);
  if (!id) return std::unexpected(id.error());
  const auto limit = parse_duration(words[2]);
  if (!limit) return std::unexpected(limit.error());
  auto fault = parse_fault(words);
  if (!fault) return std::unexpected(fault.error());
  auto links = parse_links(words[4]);
  if (!links) return std::unexpected(links.error());
  rules_.set(
      static_cast<std::uint32_t>(*id),
      {.fault = *std::move(fault), .links = *std::move(links), .end = SteadyClock::now() + *limit});
  return {};
}

asio::awaitable<void> Relay::converse(Local::socket socket) {
  std::string line;
  std::error_code error;
  co_await asio::async_read_until(socket, asio::dynamic_buffer(line, kLineBytesMax), '\n',
                                  asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  const std::string answer = command(line) + "\n";
  co_await asio::async_write(socket, asio::buffer(answer),
                             asio::redirect_error(asio::use_awaitable, error));
}

int run_relay(const RelayOptions& options) {
  std::vector<RelayPlace> places;
  for (std::uint32_t i = 1; i <= kRelayPlaces; ++i) {
    places.push_back(relay_place(options.subnet, i, options.nodes));
  }
  raise_descriptors();
  asio::io_context context(1);
  Relay relay(context, std::move(places), std::random_device()());
  if (const auto opened = relay.open(options.control); !opened) return failed(opened.error());
  context.run();
  return kExitGood;
}

Result<std::string> tell_relay(const std::filesystem::path& control, const std::string& line) {
  asio::io_context context;
  Local::socket socket(context);
  std::error_code error;
  const auto end = SteadyClock::now() + kStartLimit;
  do {
    if (error) std::this_thread::sleep_for(Ms(20));
    socket.connect(control.string(), error);
  } while (error && SteadyClock::now() < end);
  if (!error) asio::write(socket, asio::buffer(line + "\n"), error);
  std::string answer;
  if (!error) {
    asio::read_until(socket, asio::dynamic_buffer(answer, kLineBytesMax), '\n', error);
  }
  if (error) {
    return fail(ErrorCode::unavailable,
                text("the relay at ", control.string(), " does not answer: ", error.message()));
  }
  return std::string(trimmed(answer));
}

std::vector<std::string> relay_words(std::uint32_t id, Ms limit, const Fault& fault,
                                     const std::vector<Link>& links) {
  std::vector<std::string> pairs;
  for (const Link& each : links) pairs.push_back(text(each.from, ">", each.to));
  std::vector<std::string> words{"set", std::to_string(id), duration_text(limit),
                                 std::string(rule_of(fault.kind).name), joined(pairs, ",")};
  for (const auto& [name, value] : fault.parameters) {
    // Which links they come to is settled.
    if (name == "to" || name == "way" || name == "shape" || name == "draw") continue;
    words.push_back(text(name, "=", text_of(value)));
  }
  return words;
}

}  // namespace shoal::chaos
