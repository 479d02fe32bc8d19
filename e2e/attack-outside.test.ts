import { outside } from "./attack/outside.ts";
import { testArea } from "./attack/test-area.ts";

testArea(outside);
