-- POST one transaction Bundle of four entries per request; each line is one Bundle.
local answers = dofile(os.getenv("BENCH_LUA") .. "/answers.lua")

function init()
  local made = {}
  local headers = answers.headers({ ["Content-Type"] = "application/fhir+json" })
  for _, line in ipairs(answers.lines()) do
    made[#made + 1] = wrk.format("POST", os.getenv("BENCH_BASE"), headers, line)
  end
  request = answers.cycle(made)
end
