import "./theme.css";
import { mount } from "svelte";
import Report from "./pages/result/Report.svelte";

mount(Report, { target: document.getElementById("app")! });
