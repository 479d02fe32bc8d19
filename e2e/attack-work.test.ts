import { testArea } from "./attack/test-area.ts";
import { work } from "./attack/work.ts";

testArea(work);
