-- Shared by every script: counts answers by expectation, keeps every hundredth for the checker.
-- One sample: "status location etag length\n" body "\n"; a missing header is "-".
-- Settings come from the environment: BENCH_TOKEN, BENCH_LINES (file), BENCH_SAMPLES (file),
-- BENCH_BASE (path of the FHIR base), BENCH_EXPECT (status).

local answers = {}

wrong = 0
local seen = 0
local expect = tonumber(os.getenv("BENCH_EXPECT"))
local threads = {}
local out

function answers.lines()
  local found = {}
  for line in io.lines(os.getenv("BENCH_LINES")) do
    found[#found + 1] = line
  end
  return found
end

function answers.headers(more)
  local all = { ["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN") }
  for name, value in pairs(more or {}) do
    all[name] = value
  end
  return all
end

-- Cycles through requests that were made once, before the clock runs.
function answers.cycle(requests)
  local at = 0
  return function()
    at = at % #requests + 1
    return requests[at]
  end
end

local function header(headers, wanted)
  for name, value in pairs(headers) do
    if name:lower() == wanted then
      return value
    end
  end
  return "-"
end

function setup(thread)
  threads[#threads + 1] = thread
end

function response(status, headers, body)
  seen = seen + 1
  if status ~= expect then
    wrong = wrong + 1
  end
  if seen % 100 == 1 or (status ~= expect and wrong < 4) then
    out = out or io.open(os.getenv("BENCH_SAMPLES"), "ab")
    out:write(status, " ", header(headers, "location"), " ",
      header(headers, "etag"):gsub(" ", ""), " ", #body, "\n", body, "\n")
    out:flush()
  end
end

function done(summary, latency)
  local bad = 0
  for _, thread in ipairs(threads) do
    bad = bad + thread:get("wrong")
  end
  local e = summary.errors
  io.write(string.format(
    'BENCH {"answers":%d,"seconds":%.6f,"wrong":%d,"lost":%d,' ..
    '"p50_ms":%.3f,"p95_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, bad,
    e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3))
end

return answers
