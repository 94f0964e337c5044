#include "client/impl.hpp"

#include <algorithm>
#include <utility>

#include "base/address.hpp"
#include "base/format.hpp"

namespace shoal {
namespace {

using client::Answers;
using client::kTuple;
using client::Session;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds kPauseMin{50};
constexpr milliseconds kPauseMax{1000};
constexpr milliseconds kStaleAfter{3000};
constexpr std::size_t kAddressesMax = 256;

bool retryable(ErrorCode code) {
  return code == ErrorCode::unavailable || code == ErrorCode::overload;
}

Error lost(const Session& session) {
  return {ErrorCode::unavailable,
          format("the connection to {} was lost: {}", session.address(), session.reason())};
}

Result<bool> take(wire::ClientReplyBody& body, const StreamReply& on_reply) {
  if (const auto* error = std::get_if<Error>(&body)) return std::unexpected(*error);
  return on_reply(body);
}

}  // namespace

Client::Impl::Impl(asio::io_context& context, ClientOptions options)
    : context_(context),
      options_(std::move(options)),
      addresses_(options_.addresses),
      dialled_(context, SteadyTime::max()) {
  if (addresses_.empty()) addresses_.push_back("127.0.0.1:7461");
  for (std::string& address : addresses_) {
    if (const auto parsed = parse_host_port(address)) {
      const bool bare = parsed->host.find(':') != std::string::npos;  // IPv6
      address = format("{}{}{}:{}", bare ? "[" : "", parsed->host, bare ? "]" : "", parsed->port);
    }
  }
}

void Client::Impl::close() {
  closed_ = true;
  dialled_.cancel();
  if (session_) session_->close();
}

std::string Client::Impl::gateway() const {
  return session_ && session_->alive() ? session_->address() : std::string();
}

Client::Impl::Task<Result<std::shared_ptr<Session>>> Client::Impl::connected(SteadyTime deadline) {
  const auto self = shared_from_this();
  while (dialling_) {
    const std::uint64_t seen = dials_;
    co_await dialled_.async_wait(kTuple);
    if (dials_ != seen && !(session_ && session_->alive())) co_return std::unexpected(last_error_);
  }
  if (closed_) co_return fail(ErrorCode::unavailable, "this client was closed");
  if (session_ && session_->alive()) co_return session_;
  dialling_ = true;
  auto dialled = co_await dial(deadline);
  dialling_ = false;
  ++dials_;
  if (!dialled) last_error_ = dialled.error();
  dialled_.cancel();
  co_return dialled;
}

Client::Impl::Task<Result<std::shared_ptr<Session>>> Client::Impl::dial(SteadyTime deadline) {
  milliseconds wait = kPauseMin;
  while (true) {
    std::vector<std::string> tried;
    const std::size_t count = addresses_.size();
    for (std::size_t i = 0; i < count && !closed_; ++i) {
      const std::size_t at = next_ % addresses_.size();
      const std::string address = addresses_[at];
      auto session = std::make_shared<Session>(context_, address);
      const Result<void> opened = co_await session->open(options_.connect_timeout);
      if (opened) {
        session_ = session;
        next_ = at + 1;  // Should this node die, the next one's turn comes first.
        ever_connected_ = true;
        asio::co_spawn(context_, learn_members(session), asio::detached);
        co_return session;
      }
      next_ = at + 1;
      tried.push_back(format("{} ({})", address, opened.error().message));
      if (SteadyClock::now() >= deadline) break;
    }
    const bool late = SteadyClock::now() + wait >= deadline;
    if (!ever_connected_ || closed_ || late) co_return std::unexpected(unreachable(tried));
    co_await pause(wait);
    wait = std::min(2 * wait, kPauseMax);
  }
}

Error Client::Impl::unreachable(const std::vector<std::string>& tried) const {
  std::string text;
  for (const std::string& one : tried) text += (text.empty() ? "" : ", ") + one;
  return {ErrorCode::unavailable,
          format("no node could be reached; tried {}. Start one with `shoal node` or `shoal dev`, "
                 "or name one with --addr HOST:PORT or SHOAL_ADDR",
                 text)};
}

Client::Impl::Task<void> Client::Impl::learn_members(std::shared_ptr<Session> session) {
  const auto self = shared_from_this();
  std::uint64_t id = 0;
  const auto answers = session->ask(wire::ListMembers{.with_stats = false}, id);
  const Answers::Event event = co_await answers->next(deadline());
  session->forget(id, false);
  if (event != Answers::Event::reply) co_return;
  const auto* list = std::get_if<wire::MemberList>(&answers->reply().body);
  if (list == nullptr) co_return;
  for (const wire::MemberRow& row : list->members) {
    const bool reachable = row.state == wire::MemberState::alive && row.info.address &&
                           !row.info.address.unspecified();
    if (!reachable || addresses_.size() >= kAddressesMax) continue;
    std::string address = to_string(row.info.address);
    if (std::ranges::find(addresses_, address) == addresses_.end()) {
      addresses_.push_back(std::move(address));
    }
  }
}

Client::Impl::Task<void> Client::Impl::pause(milliseconds time) {
  asio::steady_timer timer(context_, time);
  co_await timer.async_wait(kTuple);
}

void Client::Impl::leave_if_stale(Session& session) {
  if (addresses_.size() > 1 && SteadyClock::now() - session.opened() > kStaleAfter) {
    session.close();
  }
}

Client::Impl::Task<Result<wire::ClientReplyBody>> Client::Impl::call(wire::ClientRequestBody body,
                                                                     CallOptions options) {
  const auto self = shared_from_this();
  const SteadyTime until = options.deadline.value_or(deadline());
  const SteadyTime stale = SteadyClock::now() + kStaleAfter;
  milliseconds wait = kPauseMin;
  std::optional<Error> refusal;  // The last one: it says more than that time is up.
  while (true) {
    auto session = co_await connected(until);
    if (!session) co_return std::unexpected(session.error());
    std::uint64_t id = 0;
    const auto answers = (*session)->ask(body, id);
    const Answers::Event event = co_await answers->next(until);
    (*session)->forget(id, false);
    if (event == Answers::Event::timeout) {
      if (refusal) co_return std::unexpected(*refusal);
      co_return fail(ErrorCode::unavailable,
                     format("{} gave no answer in time; the same request may be sent again",
                            (*session)->address()));
    }
    if (event == Answers::Event::lost) {
      if (SteadyClock::now() + wait >= until) co_return std::unexpected(lost(**session));
      co_await pause(wait);
      wait = std::min(2 * wait, kPauseMax);
      continue;
    }
    wire::ClientReplyBody reply = std::move(answers->reply().body);
    const auto* error = std::get_if<Error>(&reply);
    if (error == nullptr) co_return reply;
    const bool again = options.retry_refusals && retryable(error->code);
    if (!again || SteadyClock::now() + wait >= until) co_return std::unexpected(*error);
    refusal = *error;
    co_await pause(wait);
    wait = std::min(2 * wait, kPauseMax);
    if (SteadyClock::now() >= stale) leave_if_stale(**session);
  }
}

Client::Impl::Task<Result<void>> Client::Impl::stream(
    std::function<wire::ClientRequestBody()> again, OnReply on_reply) {
  const auto self = shared_from_this();
  SteadyTime until = deadline();
  milliseconds wait = kPauseMin;
  while (true) {
    auto session = co_await connected(until);
    if (!session) co_return std::unexpected(session.error());
    const SteadyTime asked = SteadyClock::now();
    std::uint64_t id = 0;
    const auto answers = (*session)->ask(again(), id);
    std::optional<Error> error;
    while (!error) {
      const Answers::Event event = co_await answers->next(SteadyTime::max());
      if (event != Answers::Event::reply) {
        error = lost(**session);
        break;
      }
      const bool last = answers->reply().last;
      Result<bool> enough = take(answers->reply().body, on_reply);
      if (!enough || *enough) (*session)->forget(id, !last);
      if (enough && (*enough || last)) co_return Result<void>{};
      if (!enough) {
        error = enough.error();
        continue;
      }
      until = deadline();  // It speaks: a later loss has all its time again.
      wait = kPauseMin;
    }
    if (SteadyClock::now() - asked > kStaleAfter) {
      until = std::max(until, deadline());
      leave_if_stale(**session);
    }
    // The wait also keeps a session that is lost at once, again and again, from spinning.
    if (!retryable(error->code) || SteadyClock::now() + wait >= until) {
      co_return std::unexpected(*error);
    }
    co_await pause(wait);
    wait = std::min(2 * wait, kPauseMax);
  }
}

}  // namespace shoal
