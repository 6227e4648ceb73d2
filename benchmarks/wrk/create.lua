-- POST one resource per request; each line is one resource.
local answers = dofile(os.getenv("BENCH_LUA") .. "/answers.lua")

function init()
  local made = {}
  local headers = answers.headers({ ["Content-Type"] = "application/fhir+json" })
  for _, line in ipairs(answers.lines()) do
    local type = line:match('"resourceType":"(%a+)"')
    made[#made + 1] = wrk.format("POST", os.getenv("BENCH_BASE") .. "/" .. type, headers, line)
  end
  request = answers.cycle(made)
end
