// Handing in a job: its record, then its elements in batches of which several are in flight, then
// the word that nothing more comes.
#include <algorithm>
#include <utility>

#include "base/format.hpp"
#include "client/batch.hpp"
#include "client/impl.hpp"
#include "client/mint.hpp"
#include "task/record.hpp"

namespace shoal {
namespace {

constexpr std::size_t kBatchesInFlight = 16;
constexpr int kMintsMax = 5;

constexpr std::size_t kNameBytesMax = 4096;  // What a node reads.

std::string hex(Nonce nonce) { return format("{:016x}{:016x}", nonce.high, nonce.low); }

Result<void> check(const Submission& submission) {
  if (submission.array && submission.arguments.empty()) {
    return fail(ErrorCode::bad_input, "an array needs at least one element; this one has none");
  }
  if (submission.arguments.size() > kJobTasksMax) {
    return fail(ErrorCode::bad_input,
                format("{} elements are more than one job may have ({}): hand in several jobs",
                       submission.arguments.size(), kJobTasksMax));
  }
  for (std::size_t i = 0; i < submission.arguments.size(); ++i) {
    const std::size_t size = submission.arguments[i].size();
    if (size <= kArgumentBytesMax) continue;
    return fail(ErrorCode::bad_input,
                format("element {} has {} bytes, more than the {} an argument may have: put it in "
                       "a file and pass the file's name",
                       i, size, kArgumentBytesMax));
  }
  if (submission.name.size() > kNameBytesMax) {
    return fail(ErrorCode::bad_input,
                format("the job's name has {} bytes, more than the {} it may have: give it a "
                       "shorter one",
                       submission.name.size(), kNameBytesMax));
  }
  if (auto wrong = task::validate(submission.spec)) {
    return fail(ErrorCode::bad_input, *std::move(wrong));
  }
  if (submission.id.has_value() != submission.nonce.has_value()) {
    return fail(ErrorCode::bad_input, "to resume a submission give both its id and its nonce");
  }
  return {};
}

}  // namespace

// An array on its way: the workers take batches from the front until there are none or one failed.
struct Client::Impl::Upload {
  Upload(asio::io_context& context, const Submission& what, JobId job, Nonce secret)
      : submission(what), id(job), nonce(secret), finished(context, SteadyTime::max()) {}

  const Submission& submission;  // Outlives the upload: submit_as() waits for all workers.
  JobId id;
  Nonce nonce;
  std::size_t next = 0;
  std::uint32_t accepted = 0;
  std::size_t workers = 0;
  std::optional<Error> error;
  std::function<void(std::uint32_t)> progress;
  asio::steady_timer finished;  // Cancelled by the last worker.

  wire::CreateTasks take() {
    wire::CreateTasks batch{.job = id, .nonce = nonce, .spec = submission.spec};
    const std::size_t count = client::batch_size(submission.arguments, next);
    for (std::size_t i = next; i < next + count; ++i) {
      batch.elements.push_back({static_cast<std::uint32_t>(i), submission.arguments[i]});
    }
    next += count;
    return batch;
  }
};

Client::Impl::Task<void> Client::Impl::upload_worker(std::shared_ptr<Upload> upload) {
  const auto self = shared_from_this();
  while (!upload->error && upload->next < upload->submission.arguments.size()) {
    wire::CreateTasks batch = upload->take();
    const auto count = static_cast<std::uint32_t>(batch.elements.size());
    const Result<wire::Done> done = co_await call_for<wire::Done>(std::move(batch));
    if (done) {
      upload->accepted += count;
      if (upload->progress) upload->progress(upload->accepted);
    } else if (!upload->error) {
      upload->error = done.error();
    }
  }
  if (--upload->workers == 0) upload->finished.cancel();
}

Client::Impl::Task<Result<Submitted>> Client::Impl::submit_as(
    const Submission& submission, Submitted identity,
    const std::function<void(std::uint32_t)>& progress) {
  const std::size_t count = submission.arguments.size();
  wire::CreateJob create{.job = identity.id,
                         .nonce = identity.nonce,
                         .name = submission.name,
                         .spec = submission.spec,
                         .single = !submission.array};
  if (submission.array) create.count = static_cast<std::uint32_t>(count);
  if (!submission.array && count > 0) create.argument = submission.arguments.front();
  const Result<wire::Done> created = co_await call_for<wire::Done>(std::move(create));
  if (!created) co_return std::unexpected(created.error());
  identity.copies = created->copies;
  if (submission.on_created) submission.on_created(identity);
  if (!submission.array) {
    if (progress) progress(1);
    co_return identity;
  }

  auto upload = std::make_shared<Upload>(context_, submission, identity.id, identity.nonce);
  upload->progress = progress;
  upload->workers = std::min(kBatchesInFlight, count);
  for (std::size_t i = upload->workers; i > 0; --i) {
    asio::co_spawn(context_, upload_worker(upload), asio::detached);
  }
  while (upload->workers > 0) co_await upload->finished.async_wait(client::kTuple);
  if (!upload->error) {
    const wire::CloseJob close{.job = identity.id, .nonce = identity.nonce};
    const Result<wire::Done> closed = co_await call_for<wire::Done>(close);
    if (!closed) upload->error = closed.error();
  }
  if (!upload->error) co_return identity;
  co_return fail(upload->error->code,
                 format("{} of {} tasks of job {} were accepted, then: {}. Nothing is lost: the "
                        "same submission under id {} and nonce {} goes on from there, or cancel "
                        "the job",
                        upload->accepted, count, short_text(identity.id, 13),
                        upload->error->message, to_string(identity.id), hex(identity.nonce)));
}

Client::Impl::Task<Result<Submitted>> Client::Impl::submit(
    Submission submission, std::function<void(std::uint32_t)> progress) {
  const auto self = shared_from_this();
  const Result<void> fit = check(submission);
  if (!fit) co_return std::unexpected(fit.error());
  bool created = false;
  const auto told = std::move(submission.on_created);
  submission.on_created = [&created, &told](const Submitted& made) {
    created = true;
    if (told) told(made);
  };
  for (int mints = 1;; ++mints) {
    Submitted identity;
    if (submission.id) {
      identity = {.id = *submission.id, .nonce = *submission.nonce};
    } else {
      identity = {.id = client::mint_job(submission.retention), .nonce = client::mint_nonce()};
    }
    Result<Submitted> done = co_await submit_as(submission, identity, progress);
    if (done) co_return done;
    // Somebody else's job has this id: nothing of ours was taken, so another one will do.
    const bool taken = done.error().code == ErrorCode::conflict && !created && !submission.id;
    if (!taken || mints == kMintsMax) co_return done;
  }
}

}  // namespace shoal
