import { neighbours } from "./attack/neighbours.ts";
import { testArea } from "./attack/test-area.ts";

testArea(neighbours);
