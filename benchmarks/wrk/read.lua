-- GET one resource by type and id; each line is "Type/id".
local answers = dofile(os.getenv("BENCH_LUA") .. "/answers.lua")

function init()
  local made = {}
  local headers = answers.headers({ ["Accept"] = "application/fhir+json" })
  for _, line in ipairs(answers.lines()) do
    made[#made + 1] = wrk.format("GET", os.getenv("BENCH_BASE") .. "/" .. line, headers)
  end
  request = answers.cycle(made)
end
