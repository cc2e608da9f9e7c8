// Made from docs/contract by `npm run wire`. Not edited by hand.

export interface paths {
    "/api/agents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One's agents
         * @description Each in its last version.
         */
        get: operations["list_agents_api_agents_get"];
        put?: never;
        /**
         * Make an agent
         * @description A trader that is a language model. A backtest runs it by its `agentId`.
         */
        post: operations["add_agent_api_agents_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/agents/{agent_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One agent
         * @description In its last version, or in the one that is named. Somebody else's is not found.
         */
        get: operations["get_agent_api_agents__agent_id__get"];
        /**
         * Change an agent
         * @description Makes its next version, of all that is sent. Earlier ones stay as they are, and so do backtests.
         */
        put: operations["change_agent_api_agents__agent_id__put"];
        post?: never;
        /**
         * Delete an agent
         * @description With all its versions. Backtests that it made stay as they are.
         */
        delete: operations["delete_agent_api_agents__agent_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List backtests
         * @description One's own, newest first.
         */
        get: operations["list_backtests_api_algo_backtest_get"];
        put?: never;
        /**
         * Submit a backtest
         * @description Stored before it is answered: from here on it cannot vanish. Watch it over Socket.IO, or ask for it.
         */
        post: operations["submit_api_algo_backtest_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/estimate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * What a backtest would run on, take, ask language models, and cost
         * @description Starts and stores nothing. A request that could not run is refused as a submission would be.
         */
        post: operations["estimate_api_algo_backtest_estimate_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One backtest
         * @description How it stands. Somebody else's is not found.
         */
        get: operations["get_backtest_api_algo_backtest__backtest_id__get"];
        put?: never;
        post?: never;
        /**
         * Delete a backtest
         * @description Ended or not, with its result and all that is kept of it.
         */
        delete: operations["delete_backtest_api_algo_backtest__backtest_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/analysis": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Its result in curves and groups
         * @description Computed of what is stored: drawdown, returns by month and year, how trades are spread. What cannot be known is null, never 0. 409 while there is no result.
         */
        get: operations["get_analysis_api_algo_backtest__backtest_id__analysis_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/candles": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Its bars, to plot
         * @description Those that it reads or has read, whatever was imported since, with the indicators of its strategies as they are shown while it runs. Made into longer ones where there are more than `maxPoints`. `ETag` names them. 409 `data_changed` where they cannot be had any more.
         */
        get: operations["get_candles_api_algo_backtest__backtest_id__candles_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/decisions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What language models decided in it
         * @description While it runs and afterwards, by bar. Decisions go with their backtest when it is deleted; a replay that needs them fails then.
         */
        get: operations["get_decisions_api_algo_backtest__backtest_id__decisions_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/equity": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Its equity curve
         * @description Thinned to what a plot needs: first, last, and each stretch's lowest and highest.
         */
        get: operations["get_equity_api_algo_backtest__backtest_id__equity_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Take it along
         * @description A file, sent as it is made. `csv` and `parquet`: one table. `json`: all there is. `html`: a page that needs nobody to be read, with the first 20,000 trades. Texts of CSV that a spreadsheet would take for a formula have an apostrophe before them. 409 while there is no result; 501 where the gateway lacks what a format needs.
         */
        get: operations["export_api_algo_backtest__backtest_id__export_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What its runs logged
         * @description While it runs and afterwards: at most 200 lines a second and 10,000 a run. A run that another worker took up goes on where it was taken up; lines that were logged again by then are not told twice.
         */
        get: operations["get_logs_api_algo_backtest__backtest_id__logs_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a backtest
         * @description It stands still where it is; after a while it lets go of its worker. One that waits leaves the queue.
         */
        post: operations["pause_backtest_api_algo_backtest__backtest_id__pause_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/result": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Its result
         * @description 409 while there is none, or where there will be none: why is said.
         */
        get: operations["get_result_api_algo_backtest__backtest_id__result_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Let a backtest go on
         * @description From where it was paused, with the result it would have had without. One that nobody runs any more goes back to its place in the queue.
         */
        post: operations["resume_backtest_api_algo_backtest__backtest_id__resume_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/seek": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Go to another bar
         * @description Forward or back, to just before a bar or the first one from an instant on; then it goes on as before.
         */
        post: operations["seek_backtest_api_algo_backtest__backtest_id__seek_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/speed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Set the pace
         * @description In bars a second; `max` is as fast as it goes.
         */
        post: operations["speed_backtest_api_algo_backtest__backtest_id__speed_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/step": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Go on by a few bars
         * @description At full speed, then it is paused again.
         */
        post: operations["step_backtest_api_algo_backtest__backtest_id__step_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/stop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End a backtest where it is
         * @description With the result of the bars until there; it has none where it had not begun.
         */
        post: operations["stop_backtest_api_algo_backtest__backtest_id__stop_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/backtest/{backtest_id}/trades": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Its trades
         * @description In the order they were closed, or as `sort` says; equal ones as they were closed. `index` is the number of each in that order, from 0; `total` counts those that were chosen.
         */
        get: operations["get_trades_api_algo_backtest__backtest_id__trades_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Market data there is
         * @description Every series. It belongs to nobody, so everybody sees all of it.
         */
        get: operations["list_data_api_algo_data_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data/exchanges": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Exchanges to fetch from
         * @description Whose candles `POST …/data/fetch` can ask for, or what is missing for that.
         */
        get: operations["get_exchanges_api_algo_data_exchanges_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data/fetch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Fetch bars from an exchange
         * @description Finished candles, stored as one import once all are there. Lines of JSON tell how far it is; the last one has what was `imported`, or the `problem`. Whoever breaks off stores nothing. One at a time for each user.
         */
        post: operations["fetch_data_api_algo_data_fetch_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Import files of bars
         * @description What a file is, is recognised; where it can be read in two ways, the refusal names the field that decides. Where one of several files is refused, none is imported.
         */
        post: operations["import_data_api_algo_data_import_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data/{symbol}/{interval}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove a series
         * @description Nobody finds it any more. Results keep the bars that they were made of. 409 while backtests that have not ended read it: it names some.
         */
        delete: operations["remove_data_api_algo_data__symbol___interval__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data/{symbol}/{interval}/candles": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Bars to plot
         * @description Made into longer ones where there are more than `maxPoints`. `ETag` names the exact bars.
         */
        get: operations["get_candles_api_algo_data__symbol___interval__candles_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/data/{symbol}/{interval}/gaps": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What is missing in a series
         * @description Judged as a backtest's warning of missing bars is: what the series' own hours or its calendar say is closed is not missing, nor what may be holidays.
         */
        get: operations["get_gaps_api_algo_data__symbol___interval__gaps_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/fleet": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The fleet now
         * @description Workers, the queue and how many run and have ended are everybody's to see; of runs and failures one sees one's own, an admin everybody's. What all share is at most a few seconds old.
         */
        get: operations["get_fleet_api_algo_fleet_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/strategies": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Strategies
         * @description All that can be run here, with the JSON Schema of their parameters.
         */
        get: operations["list_strategies_api_algo_strategies_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/algo/strategies/validate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Check a strategy's parameters
         * @description Whatever is wrong with them is an answer, no refusal.
         */
        post: operations["validate_strategy_api_algo_strategies_validate_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/auth/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in
         * @description After too many failures of a name or an address: 429, and `Retry-After` says how long.
         */
        post: operations["login_api_auth_login_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/auth/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End a login
         * @description Its access token ends by itself.
         */
        post: operations["logout_api_auth_logout_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/auth/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * New tokens for a refresh token
         * @description Each refresh token is good once. One that comes again, later than a few seconds, ends the login.
         */
        post: operations["refresh_api_auth_refresh_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List sessions
         * @description All of one's backtests, newest first.
         */
        get: operations["list_sessions_api_backtest_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest/create": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create a session
         * @description A backtest that waits until it is started. One that nobody starts is removed at `expiresAt`.
         */
        post: operations["create_session_api_backtest_create_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest/{session_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where a session stands
         * @description As of the newest that is known. One that runs is asked; `partial` is true where it does not answer in half a second. In `state` is what `backtest:state` says, of one that has ended what its result says.
         */
        get: operations["get_session_api_backtest__session_id__get"];
        put?: never;
        post?: never;
        /**
         * Delete a session
         * @description Ended or not, with its result and all that is kept of it.
         */
        delete: operations["delete_session_api_backtest__session_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest/{session_id}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a session
         * @description It stands still where it is.
         */
        post: operations["pause_session_api_backtest__session_id__pause_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest/{session_id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Let a session go on
         * @description From where it was paused.
         */
        post: operations["resume_session_api_backtest__session_id__resume_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest/{session_id}/start": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Start a session
         * @description From its first bar on, or from where it was paused.
         */
        post: operations["start_session_api_backtest__session_id__start_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/backtest/{session_id}/stop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End a session
         * @description With the result of the bars until there, if it had begun.
         */
        post: operations["stop_session_api_backtest__session_id__stop_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/llm/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One's keys for providers
         * @description Without the keys themselves.
         */
        get: operations["list_keys_api_llm_keys_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/llm/keys/{provider}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One key for a provider
         * @description Without the key itself.
         */
        get: operations["get_key_api_llm_keys__provider__get"];
        /**
         * Store a key for a provider
         * @description In place of the one that was there. It is kept sealed; nobody can read it again.
         */
        put: operations["put_key_api_llm_keys__provider__put"];
        post?: never;
        /**
         * Delete a key for a provider
         * @description Backtests that go on can use it until their next ask.
         */
        delete: operations["delete_key_api_llm_keys__provider__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Users (admins)
         * @description All of whom something is kept here, by name.
         */
        get: operations["list_users_api_users_get"];
        put?: never;
        /**
         * Add a user (admins)
         * @description 409 where the name is taken.
         */
        post: operations["add_user_api_users_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Who asks
         * @description What the token or key that was sent is good for.
         */
        get: operations["get_me_api_users_me_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/me/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One's keys
         * @description Without the keys themselves, which nobody keeps.
         */
        get: operations["list_keys_api_users_me_keys_get"];
        put?: never;
        /**
         * Make a key for a program
         * @description The answer shows it, this once.
         */
        post: operations["add_key_api_users_me_keys_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/me/keys/{key_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Delete one of one's keys
         * @description It is refused within 5 seconds everywhere.
         */
        delete: operations["delete_key_api_users_me_keys__key_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/me/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Change one's password
         * @description Ends every login of the user, this one too.
         */
        post: operations["change_password_api_users_me_password_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One user (admins)
         * @description What is kept of him, without what is secret.
         */
        get: operations["get_user_api_users__name__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}/disable": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Disable a user (admins)
         * @description Tokens and keys are refused within 5 seconds everywhere, and sockets closed within 10.
         */
        post: operations["disable_user_api_users__name__disable_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}/enable": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Enable a user again (admins)
         * @description Keys work again; logins from before do not.
         */
        post: operations["enable_user_api_users__name__enable_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A user's keys (admins)
         * @description Without the keys themselves, which nobody keeps.
         */
        get: operations["list_keys_of_api_users__name__keys_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}/keys/{key_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Delete a user's key (admins)
         * @description It is refused within 5 seconds everywhere.
         */
        delete: operations["delete_key_of_api_users__name__keys__key_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Set a user's password (admins)
         * @description Ends every login of that user. Keys stay.
         */
        post: operations["set_password_api_users__name__password_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/users/{name}/roles": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Set a user's roles (admins)
         * @description They count within 5 seconds everywhere.
         */
        post: operations["set_roles_api_users__name__roles_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/backtest/run": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Run a backtest
         * @description It begins as soon as a worker is free. What becomes of it is told over `/ws`.
         */
        post: operations["run_api_v1_backtest_run_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the process lives
         * @description Asks nobody: for whoever restarts processes that hang.
         */
        get: operations["healthz_healthz_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Metrics for Prometheus
         * @description For who sends the token of `BACKFLEET_METRICS_TOKEN`, or is an admin; where no such token is set, in development for everybody. Answers while MongoDB or Redis is away, with what is known.
         */
        get: operations["metrics_metrics_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether requests can be served
         * @description 503 names the parts that do not answer: `store`, `bus`, `relay`. For load balancers.
         */
        get: operations["readyz_readyz_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * Accepted
         * @description A backtest that is stored and will run, or that an earlier request with the same key was for.
         */
        Accepted: {
            /**
             * Backtestid
             * @description Names it from now on.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtestId: string;
            /**
             * Error
             * @description Only of one that failed, as in `Backtest`.
             */
            error?: {
                [key: string]: unknown;
            } | null;
            /**
             * Progress
             * @description Percent of its bars, where the key was used before.
             * @example 42.5
             */
            progress?: number | null;
            /**
             * Resultid
             * @description Only where there is a result.
             */
            resultId?: string | null;
            /**
             * Status
             * @description `pending` of a new one, `paused` with `startPaused`; where the key was used before, as it is now.
             * @enum {string}
             */
            status: "pending" | "running" | "paused" | "completed" | "failed" | "stopped";
        };
        /**
         * Acted
         * @description What an action led to.
         */
        Acted: {
            /**
             * Sessionid
             * @description Names it.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            sessionId: string;
            /**
             * Status
             * @description `idle` until it is started; the last three are ends.
             * @enum {string}
             */
            status: "idle" | "running" | "paused" | "completed" | "stopped" | "failed";
        };
        /**
         * AddUserRequest
         * @description The body of `POST /api/users`.
         * @example {
         *       "name": "ann",
         *       "password": "four random words here",
         *       "roles": [
         *         "user"
         *       ]
         *     }
         */
        AddUserRequest: {
            /**
             * Name
             * @description What the user is called, and the `sub` of his tokens.
             */
            name: string;
            /**
             * Password
             * @description Without one the user cannot log in: for users of an outside issuer.
             * @default null
             */
            password: string | null;
            /**
             * Roles
             * @description `user`, or `admin` for who may do everything.
             */
            roles?: ("user" | "admin")[];
        };
        /**
         * Agent
         * @description A trader that is a language model, in one of its versions. Null is as `ai_trader` has it by default.
         */
        Agent: {
            /**
             * Agentid
             * @description What a backtest names it by.
             * @example ag_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            agentId: string;
            /**
             * Createdat
             * Format: date-time
             * @description When the agent was made.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Decisioninterval
             * @description Bars from one decision to the next.
             */
            decisionInterval: number | null;
            /**
             * Indicators
             * @description What it is shown values of.
             */
            indicators: string[] | null;
            /**
             * Lastversion
             * @description The one that a backtest runs with.
             */
            lastVersion: number;
            /**
             * Maxdailylosspercent
             * @description Loss of a day after which it only closes.
             */
            maxDailyLossPercent: number | null;
            /**
             * Maxpositionfraction
             * @description Largest position, as a share of equity.
             */
            maxPositionFraction: number | null;
            /**
             * Minconfidence
             * @description Below it a decision is to hold.
             */
            minConfidence: number | null;
            /**
             * Model
             * @description As its provider calls it.
             */
            model: string | null;
            /**
             * Name
             * @description For people.
             * @example Momentum
             */
            name: string;
            /**
             * Parameters
             * @description Other parameters of `ai_trader`.
             */
            parameters: {
                [key: string]: unknown;
            };
            /**
             * Prompt
             * @description The trader's instructions.
             */
            prompt: string | null;
            /**
             * Provider
             * @description Whose model it is.
             */
            provider: string | null;
            /**
             * Safetymode
             * @description Whether its decisions are kept within the four numbers below.
             */
            safetyMode: boolean | null;
            /**
             * Stoplosspercent
             * @description Farthest stop of each trade.
             */
            stopLossPercent: number | null;
            /**
             * Updatedat
             * Format: date-time
             * @description When this version was.
             * @example 2026-01-31T12:00:00Z
             */
            updatedAt: string;
            /**
             * Version
             * @description Which version this is.
             */
            version: number;
        };
        /**
         * AgentRequest
         * @description The body of `POST /api/agents` and `PUT /api/agents/{id}`. What is left out is as `ai_trader` has it by default.
         *
         *     Bounds are those of the parameters of `ai_trader`, which are checked as a backtest's are.
         * @example {
         *       "decisionInterval": 4,
         *       "indicators": [
         *         "ema 20",
         *         "rsi 14"
         *       ],
         *       "model": "vendor/model",
         *       "name": "Momentum",
         *       "prompt": "Trade with the trend, and stay flat without one.",
         *       "safetyMode": true
         *     }
         */
        AgentRequest: {
            /**
             * Decisioninterval
             * @description At every how many bars it decides.
             * @example 4
             */
            decisionInterval?: number | null;
            /**
             * Indicators
             * @description Names with periods, of which it is shown values.
             * @example [
             *       "ema 20"
             *     ]
             */
            indicators?: string[] | null;
            /**
             * Maxdailylosspercent
             * @description Loss of a day after which it only closes.
             */
            maxDailyLossPercent?: number | null;
            /**
             * Maxpositionfraction
             * @description Largest position, as a share of equity.
             */
            maxPositionFraction?: (number | null) | null;
            /**
             * Minconfidence
             * @description Below it a decision is to hold; from 0 to 1.
             */
            minConfidence?: number | null;
            /**
             * Model
             * @description As its provider calls it.
             * @example vendor/model
             */
            model: string;
            /**
             * Name
             * @description For people.
             * @example Momentum
             */
            name: string;
            /**
             * Parameters
             * @description Other parameters of `ai_trader`, under their names there.
             * @default null
             * @example {
             *       "lookbackBars": 100,
             *       "temperature": 0
             *     }
             */
            parameters: {
                /**
                 * Baseurl
                 * @description URL of another OpenAI-compatible endpoint; empty: the provider's.
                 * @default
                 */
                baseUrl?: string;
                /**
                 * Knowledgecutoff
                 * @description Day from which on the model cannot have seen prices, as 2025-01-31, if known.
                 * @default
                 */
                knowledgeCutoff?: string;
                /**
                 * Lookbackbars
                 * @description How many of the last bars it is shown.
                 * @default 50
                 */
                lookbackBars?: number;
                /**
                 * Maxabstainedshare
                 * @description Share of questions without a usable answer above which the run fails.
                 * @default 0.2
                 */
                maxAbstainedShare?: number;
                /**
                 * Maxcostusd
                 * @description Most money of one backtest, in US dollars.
                 * @default 5
                 */
                maxCostUsd?: number;
                /**
                 * Maxdecisions
                 * @description Most questions of one backtest.
                 * @default 10000
                 */
                maxDecisions?: number;
                /**
                 * Maxtokens
                 * @description Most tokens of one answer.
                 * @default 2000
                 */
                maxTokens?: number;
                /**
                 * Mode
                 * @description record takes an answer that is stored and else asks and stores; live always asks; replay takes only what is stored.
                 * @default record
                 * @enum {string}
                 */
                mode?: "live" | "record" | "replay";
                /**
                 * Seed
                 * @description Asks the model for the same answer each time, which it may not heed.
                 * @default null
                 */
                seed?: number | null;
                /**
                 * Temperature
                 * @description How freely it answers; null leaves it to it.
                 * @default null
                 */
                temperature?: number | null;
            } | null;
            /**
             * Prompt
             * @description The trader's instructions.
             * @example Trade with the trend.
             */
            prompt: string;
            /**
             * Provider
             * @description Whose model it is.
             * @example openrouter
             */
            provider?: string | null;
            /**
             * Safetymode
             * @description Whether its decisions are kept within the four numbers below.
             */
            safetyMode?: boolean | null;
            /**
             * Stoplosspercent
             * @description Farthest stop of each trade, from its entry.
             */
            stopLossPercent?: number | null;
        };
        /**
         * Agents
         * @description One's agents.
         */
        Agents: {
            /**
             * Items
             * @description All of them, oldest first, each in its last version.
             */
            items: components["schemas"]["Agent"][];
        };
        /**
         * AmbiguousBar
         * @description A bar in which one trade reached both its target and its stop or liquidation.
         */
        AmbiguousBar: {
            /**
             * Time
             * @description When it opens, milliseconds since 1970.
             */
            time: number;
        };
        /**
         * AmbiguousBars
         * @description Bars in which the order of things is a guess.
         */
        AmbiguousBars: {
            /**
             * Items
             * @description At most 1,000 of them; null where it is not known which.
             */
            items: components["schemas"]["AmbiguousBar"][] | null;
            /**
             * Total
             * @description How many the run counted.
             */
            total: number | null;
        };
        /**
         * Analysis
         * @description What a page draws of a result. Formulas and sources: docs/metrics.md.
         */
        Analysis: {
            /** @description Where it is a guess whether stop or target came first. */
            ambiguousBars: components["schemas"]["AmbiguousBars"];
            /**
             * Backtestid
             * @description Which backtest.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtestId: string;
            /**
             * Byhour
             * @description All 24.
             */
            byHour: components["schemas"]["HourGroup"][];
            /**
             * Byside
             * @description Long, and short.
             */
            bySide: components["schemas"]["SideGroup"][];
            /**
             * Byweekday
             * @description Monday first.
             */
            byWeekday: components["schemas"]["WeekdayGroup"][];
            /** @description At most so many points, the lowest of the drawdown among them. */
            equity: components["schemas"]["EquityCurves"];
            /** @description Null where the bars are gone. */
            excursions: components["schemas"]["Excursions"] | null;
            /** @description Of how many bars trades were held. */
            holdHistogram: components["schemas"]["Bins"];
            /**
             * Monthly
             * @description In order of time; they compound to the total return.
             */
            monthly: components["schemas"]["MonthReturn"][];
            /**
             * Points
             * @description `maxPoints` as asked for.
             */
            points: number;
            /**
             * Resulthash
             * @description Of the result that it was computed of.
             */
            resultHash: string;
            /** @description Of the trades' returns after fees, fractions. */
            returnsHistogram: components["schemas"]["Bins"];
            /** @description Null where there are fewer than 20 daily returns. */
            rollingSharpe: components["schemas"]["RollingSharpe"] | null;
            /** @description Of trades that gained, and that lost. */
            streaks: components["schemas"]["Streaks"];
            /**
             * Tradesbyexit
             * @description By why they closed.
             */
            tradesByExit: components["schemas"]["ExitGroup"][];
            /**
             * Yearly
             * @description In order of time; they compound to the total return.
             */
            yearly: components["schemas"]["YearReturn"][];
        };
        /**
         * Argument
         * @description One argument of a function.
         */
        Argument: {
            /**
             * Default
             * @description What it is where it is left out; null: it must be there.
             */
            default: number | null;
            /**
             * Name
             * @description What it is called in the signature.
             * @example period
             */
            name: string;
            /**
             * Takes
             * @description What may be written for it: any number, computed ones too, or a number that is written out.
             * @example a whole number from 1 to 10,000
             */
            takes: string;
        };
        /**
         * Backtest
         * @description A backtest as its owner sees it.
         */
        Backtest: {
            /**
             * Backtestid
             * @description Names it.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtestId: string;
            /**
             * Completedat
             * @description When it ended, however it did; null before.
             */
            completedAt: string | null;
            /**
             * Createdat
             * Format: date-time
             * @description When it was submitted.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Datasethash
             * @description Names the exact bars it reads; null until they are settled.
             */
            datasetHash: string | null;
            /**
             * Epoch
             * @description How many times a worker has claimed it.
             */
            epoch: number;
            /**
             * Error
             * @description `code`, `message` and `errors` of one that ended without result.
             */
            error: {
                [key: string]: unknown;
            } | null;
            /**
             * Failures
             * @description How many of its runs crashed.
             */
            failures: number;
            /**
             * Params
             * @description What was asked for, without the priority.
             */
            params: {
                [key: string]: unknown;
            };
            /**
             * Priority
             * @description Higher runs earlier.
             */
            priority: number;
            /**
             * Progress
             * @description Percent of its bars.
             * @example 42.5
             */
            progress: number;
            /**
             * Resultid
             * @description Names its result; null while it has none.
             */
            resultId: string | null;
            /**
             * Startedat
             * @description When its latest run began; null before the first.
             */
            startedAt: string | null;
            /**
             * Status
             * @description Where it stands; the last three are ends.
             * @enum {string}
             */
            status: "pending" | "running" | "paused" | "completed" | "failed" | "stopped";
            /**
             * Updatedat
             * Format: date-time
             * @description When its record last changed.
             * @example 2026-01-31T12:00:00Z
             */
            updatedAt: string;
            /**
             * Warnings
             * @description `code`, `message` and maybe `field` of what its asker should know; those of its result once it has one.
             */
            warnings: {
                [key: string]: unknown;
            }[];
        };
        /**
         * BacktestPage
         * @description A part of one's backtests, newest first.
         */
        BacktestPage: {
            /**
             * Items
             * @description At most `limit` of them.
             */
            items: components["schemas"]["Backtest"][];
            /**
             * Nextcursor
             * @description `cursor` of the next page; null at the end.
             */
            nextCursor: string | null;
        };
        /**
         * BacktestRequest
         * @description The body of `POST /api/algo/backtest` and of `backtest:start`: the params, and how soon.
         * @example {
         *       "commission": {
         *         "rate": 0.001
         *       },
         *       "endDate": "2013-03-01",
         *       "interval": "1d",
         *       "startDate": "2000-03-01",
         *       "strategies": [
         *         "sma_crossover"
         *       ],
         *       "strategyParams": {
         *         "sma_crossover": {
         *           "fast": 20,
         *           "slow": 100
         *         }
         *       },
         *       "symbol": "AAPL"
         *     }
         */
        BacktestRequest: {
            /**
             * Agentid
             * @description An agent of one's own that trades; strategies are left out then. strategyParams of `ai_trader` go before what the agent has.
             */
            agentId?: string;
            /**
             * Agentversion
             * @description Which version of the agent; the last one where left out.
             * @default null
             */
            agentVersion: number | null;
            /**
             * Allowshort
             * @description Whether -1 sells short; else it closes what is long.
             * @default false
             */
            allowShort: boolean;
            /**
             * Atrperiod
             * @description Bars of the average true range of levels.
             * @default 14
             */
            atrPeriod: number;
            /**
             * Checkcausality
             * @description Before the run, cut the bars at up to twenty places; a strategy that then says otherwise of the bars before the cut sees the future and is refused.
             * @default false
             */
            checkCausality: boolean;
            /**
             * Closeatend
             * @description Whether trades still open are closed at the last close. They are, except with another profile.
             * @default null
             */
            closeAtEnd: boolean | null;
            /**
             * Combine
             * @description How several strategies come to one decision.
             * @default any
             * @enum {string}
             */
            combine: "any" | "all" | "majority" | "weighted";
            /**
             * @description What each fill costs.
             * @default {
             *       "fixed": 0,
             *       "minimum": 0,
             *       "rate": 0
             *     }
             */
            commission: components["schemas"]["Commission"];
            /**
             * Emiteveryms
             * @description Least time between two backtest:state, whatever emitInterval says.
             * @default 100
             */
            emitEveryMs: number;
            /**
             * Emitinterval
             * @description Bars between two backtest:state, where time allows.
             * @default 10
             */
            emitInterval: number;
            /**
             * Enddate
             * @description Exclusive.
             * @example 2024-01-31
             * @example 2024-01-31T12:00:00Z
             */
            endDate: string;
            /**
             * Fillat
             * @description Whether an order fills at the next open or at the close that decided it. The open unless the profile is vectorbt, which fills at the close where it is not told otherwise.
             * @default open
             * @enum {string}
             */
            fillAt: "open" | "close";
            /**
             * Initialcapital
             * @description Money to begin with.
             * @default 10000
             */
            initialCapital: number;
            /**
             * Interval
             * @description Length of the bars; made of finer ones where only those are stored.
             * @enum {string}
             */
            interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Intrabar
             * @description What came first where stop and target lie inside one bar.
             * @default stop_first
             * @enum {string}
             */
            intrabar: "stop_first" | "target_first" | "ohlc_path";
            /**
             * Leverage
             * @description Most gross exposure, in equities.
             * @default 1
             */
            leverage: number;
            /**
             * Lotsize
             * @description Quantities are cut to multiples of this; 0: any.
             * @default 0
             */
            lotSize: number;
            /**
             * Maintenancemargin
             * @description Share of exposure; where equity falls to it, everything is liquidated. Below 1 / leverage.
             * @default 0
             */
            maintenanceMargin: number;
            /**
             * Maxopentrades
             * @description How many trades may be open at once.
             * @default 1
             */
            maxOpenTrades: number;
            /**
             * Periodsperyear
             * @description Days (or weeks, months, of such bars) that make a year in annualised figures; as many as the bars show where left out.
             * @default null
             * @example 252
             */
            periodsPerYear: number | null;
            /**
             * Positionsize
             * @description Share of equity per trade: 1 is all of it (100 %), 0.02 is 2 %; at most leverage. What is stored calls it positionSizePercent; send one of them.
             * @default 1
             */
            positionSize: number;
            /**
             * Positionsizepercent
             * @description Older name of positionSize: a share of equity per trade, although it is called percent. 1 is all of it (100 %), 0.02 is 2 %; at most leverage.
             * @default 1
             */
            positionSizePercent: number;
            /**
             * Priority
             * @description Higher runs earlier.
             * @default 0
             */
            priority: number;
            /**
             * Profile
             * @description Whose rules fills follow; another program's are described in docs/profiles.md.
             * @default backfleet
             * @enum {string}
             */
            profile: "backfleet" | "backtesting.py" | "vectorbt" | "backtrader";
            /**
             * Seed
             * @description Seed of whatever is random in a run.
             * @default 0
             */
            seed: number;
            /**
             * @description Another way to size trades than by share of equity.
             * @default null
             */
            sizing: components["schemas"]["Sizing"] | null;
            /**
             * Slippagebps
             * @description Added against you on every market fill.
             * @default 0
             */
            slippageBps: number;
            /**
             * Speed
             * @description Bars a second, from 0.1, or max: as fast as it goes.
             * @default max
             * @example max
             */
            speed: number | "max";
            /**
             * Spreadbps
             * @description Half of it against you on every market fill.
             * @default 0
             */
            spreadBps: number;
            /**
             * Startdate
             * @description First bar's time or later, inclusive.
             * @example 2024-01-31
             * @example 2024-01-31T12:00:00Z
             */
            startDate: string;
            /**
             * Startpaused
             * @description Whether it waits before its first bar for resume or step.
             * @default false
             */
            startPaused: boolean;
            /**
             * @description From the entry price; a market order when reached.
             * @default null
             */
            stopLoss: components["schemas"]["Level"] | null;
            /**
             * Strategies
             * @description Ids or other names of strategies, none twice. May be left out only with agentId.
             */
            strategies?: ("ai" | "ai_trader" | "bollinger" | "buy_and_hold" | "donchian" | "ema" | "ema_crossover" | "macd" | "mean_reversion" | "momentum" | "rsi" | "rule" | "sma" | "sma_crossover" | "supertrend" | "turtle" | "zscore")[];
            /**
             * Strategyparams
             * @description By strategy, its parameters; those left out are as by default.
             */
            strategyParams?: {
                /** @description Parameters of AI trader. */
                ai?: components["schemas"]["ParametersOf_ai_trader"];
                /** @description Parameters of AI trader. */
                ai_trader?: components["schemas"]["ParametersOf_ai_trader"];
                /** @description Parameters of Bollinger bands. */
                bollinger?: components["schemas"]["ParametersOf_bollinger"];
                /** @description Parameters of Buy and hold. */
                buy_and_hold?: components["schemas"]["ParametersOf_buy_and_hold"];
                /** @description Parameters of Donchian channels. */
                donchian?: components["schemas"]["ParametersOf_donchian"];
                /** @description Parameters of EMA crossover. */
                ema?: components["schemas"]["ParametersOf_ema_crossover"];
                /** @description Parameters of EMA crossover. */
                ema_crossover?: components["schemas"]["ParametersOf_ema_crossover"];
                /** @description Parameters of MACD. */
                macd?: components["schemas"]["ParametersOf_macd"];
                /** @description Parameters of Mean reversion by z-score. */
                mean_reversion?: components["schemas"]["ParametersOf_mean_reversion"];
                /** @description Parameters of Time-series momentum. */
                momentum?: components["schemas"]["ParametersOf_momentum"];
                /** @description Parameters of Relative strength index. */
                rsi?: components["schemas"]["ParametersOf_rsi"];
                /** @description Parameters of Rule. */
                rule?: components["schemas"]["ParametersOf_rule"];
                /** @description Parameters of SMA crossover. */
                sma?: components["schemas"]["ParametersOf_sma_crossover"];
                /** @description Parameters of SMA crossover. */
                sma_crossover?: components["schemas"]["ParametersOf_sma_crossover"];
                /** @description Parameters of Supertrend. */
                supertrend?: components["schemas"]["ParametersOf_supertrend"];
                /** @description Parameters of Donchian channels. */
                turtle?: components["schemas"]["ParametersOf_donchian"];
                /** @description Parameters of Mean reversion by z-score. */
                zscore?: components["schemas"]["ParametersOf_mean_reversion"];
            };
            /**
             * Symbol
             * @description Letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40.
             */
            symbol: string;
            /**
             * @description From the entry price; a limit order.
             * @default null
             */
            takeProfit: components["schemas"]["Level"] | null;
            /**
             * Ticksize
             * @description Prices of fills and levels are multiples of this, against you; 0: any.
             * @default 0
             */
            tickSize: number;
            /**
             * @description From the best price since entry; moves at the end of each bar, never back.
             * @default null
             */
            trailingStop: components["schemas"]["Level"] | null;
            /**
             * Usestoporders
             * @description False leaves stopLoss and trailingStop out of this run.
             * @default true
             */
            useStopOrders: boolean;
            /**
             * Usetakeprofits
             * @description False leaves takeProfit out of this run.
             * @default true
             */
            useTakeProfits: boolean;
            /**
             * Warmupbars
             * @description Most bars before startDate that indicators may begin with, so that they are known from the first bar on; nothing trades in them. 0: none. As many as strategies and levels look back at where left out.
             * @default null
             * @example 0
             */
            warmupBars: number | null;
            /**
             * Weights
             * @description By strategy, where combine is weighted: more than half decides.
             */
            weights?: {
                [key: string]: number;
            };
        };
        /**
         * Bins
         * @description How many trades are in each bin; both empty without a trade.
         */
        Bins: {
            /**
             * Counts
             * @description How many trades are from an edge to below the next.
             */
            counts: number[];
            /**
             * Edges
             * @description Of the bins, one more than there are: multiples of their width.
             */
            edges: number[];
        };
        /**
         * CandleColumns
         * @description One entry per bar in each column. Bars longer than the interval begin at multiples of `bucketMs` since 1970, by
         *     the clock of the series' session; the first and the last hold what of them lies in the range.
         */
        CandleColumns: {
            /**
             * Bars
             * @description How many bars of the interval there are from start to end.
             */
            bars: number;
            /**
             * Bucketms
             * @description How long they are: a multiple of the interval; of a month, of 30 days.
             */
            bucketMs: number;
            /**
             * Close
             * @description Last price of each.
             */
            close: number[];
            /**
             * Datasethash
             * @description Names the exact bars.
             * @example sha256:0b9765c6c71072b467c2ee5fd486519ed47399cbef73aef5700d5575beb1246e
             */
            datasetHash: string;
            /**
             * End
             * Format: date-time
             * @description Where the last bar ends.
             * @example 2026-01-31T12:00:00Z
             */
            end: string;
            /**
             * High
             * @description Highest price of each.
             */
            high: number[];
            /**
             * Interval
             * @description As asked for.
             * @enum {string}
             */
            interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Low
             * @description Lowest price of each.
             */
            low: number[];
            /**
             * Open
             * @description First price of each.
             */
            open: number[];
            /**
             * Resampled
             * @description Whether the bars sent are longer than the interval.
             */
            resampled: boolean;
            /**
             * Resampledfrom
             * @description Interval of the stored bars, where they are finer.
             */
            resampledFrom: string | null;
            /**
             * Start
             * Format: date-time
             * @description First bar's time.
             * @example 2026-01-31T12:00:00Z
             */
            start: string;
            /**
             * Symbol
             * @description As asked for.
             * @example AAPL
             */
            symbol: string;
            /**
             * Time
             * @description When each bar opened.
             */
            time: string[];
            /**
             * Volume
             * @description What was traded in each.
             */
            volume: number[];
        };
        /**
         * ChangePasswordRequest
         * @description The body of `POST /api/users/me/password`.
         * @example {
         *       "newPassword": "four random words here",
         *       "password": "the one until now"
         *     }
         */
        ChangePasswordRequest: {
            /**
             * Newpassword
             * Format: password
             * @description The one that is to be.
             */
            newPassword: string;
            /**
             * Password
             * Format: password
             * @description The one that is valid now.
             */
            password: string;
        };
        /**
         * Commission
         * @description Per side: value x rate + fixed, and never less than the minimum.
         */
        Commission: {
            /**
             * Fixed
             * @description Added to every fill, in money.
             * @default 0
             */
            fixed: number;
            /**
             * Minimum
             * @description Least fee of a fill, in money.
             * @default 0
             */
            minimum: number;
            /**
             * Rate
             * @description Share of the traded value: 0.001 is 0.1 %.
             * @default 0
             */
            rate: number;
        };
        /**
         * Controlled
         * @description What a command led to.
         */
        Controlled: {
            /**
             * Action
             * @description What was asked.
             * @enum {string}
             */
            action: "pause" | "resume" | "stop" | "speed" | "step" | "seek";
            /**
             * Backtestid
             * @description Which backtest.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtestId: string;
            /**
             * Bar
             * @description Before which bar it stands, where that is known.
             */
            bar?: number | null;
            /**
             * Commandid
             * @description As sent, or made: sent again with it, the command counts once.
             */
            commandId: string;
            /**
             * Done
             * @description Whether the command has had its effect; else its backtest hears it later.
             */
            done: boolean;
            /**
             * Progress
             * @description Percent of its bars.
             * @example 42.5
             */
            progress: number;
            /**
             * Speed
             * @description Bars a second, or as fast as it goes.
             * @example max
             */
            speed: number | "max";
            /**
             * Status
             * @description How the backtest stands now, or the replay of an ended one on that socket.
             * @example paused
             */
            status: ("pending" | "running" | "paused" | "completed" | "failed" | "stopped") | ("replaying" | "ended");
            /**
             * Totalbars
             * @description Of how many, where that is known.
             */
            totalBars?: number | null;
        };
        /**
         * CreateSession
         * @description A backtest that waits until it is started.
         * @example {
         *       "endDate": "2013-03-01",
         *       "initialCapital": 10000,
         *       "interval": "1d",
         *       "positionSizePercent": 0.02,
         *       "speed": 50,
         *       "startDate": "2000-03-01",
         *       "strategies": [
         *         "sma_crossover"
         *       ],
         *       "symbol": "AAPL"
         *     }
         */
        CreateSession: {
            /**
             * Emitinterval
             * @description Bars between two backtest:state, where time allows.
             * @default 10
             */
            emitInterval: number;
            /**
             * Enddate
             * @description Exclusive.
             * @example 2024-01-31
             * @example 2024-01-31T12:00:00Z
             */
            endDate: string;
            /**
             * Initialcapital
             * @description Money to begin with.
             * @example 10000
             */
            initialCapital: number;
            /**
             * Interval
             * @description Length of the bars.
             * @default 1h
             * @enum {string}
             */
            interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Maxopentrades
             * @description How many trades may be open at once.
             * @default 1
             */
            maxOpenTrades: number;
            /**
             * Positionsizepercent
             * @description Older name of positionSize: a share of equity per trade, although it is called percent. 1 is all of it (100 %), 0.02 is 2 %; at most leverage.
             * @default 1
             */
            positionSizePercent: number;
            /**
             * Speed
             * @description Bars a second, from 0.1, or max: as fast as it goes.
             * @default max
             * @example max
             */
            speed: number | "max";
            /**
             * Startdate
             * @description First bar's time or later, inclusive.
             * @example 2024-01-31
             * @example 2024-01-31T12:00:00Z
             */
            startDate: string;
            /**
             * @description From the entry price; a market order when reached.
             * @default null
             */
            stopLoss: components["schemas"]["Level"] | null;
            /**
             * Strategies
             * @description Ids or other names, none twice.
             * @default [
             *       "sma_crossover"
             *     ]
             */
            strategies: ("ai" | "ai_trader" | "bollinger" | "buy_and_hold" | "donchian" | "ema" | "ema_crossover" | "macd" | "mean_reversion" | "momentum" | "rsi" | "rule" | "sma" | "sma_crossover" | "supertrend" | "turtle" | "zscore")[];
            /**
             * Strategyparams
             * @description By strategy, its parameters; those left out are as by default.
             */
            strategyParams?: {
                /** @description Parameters of AI trader. */
                ai?: components["schemas"]["ParametersOf_ai_trader"];
                /** @description Parameters of AI trader. */
                ai_trader?: components["schemas"]["ParametersOf_ai_trader"];
                /** @description Parameters of Bollinger bands. */
                bollinger?: components["schemas"]["ParametersOf_bollinger"];
                /** @description Parameters of Buy and hold. */
                buy_and_hold?: components["schemas"]["ParametersOf_buy_and_hold"];
                /** @description Parameters of Donchian channels. */
                donchian?: components["schemas"]["ParametersOf_donchian"];
                /** @description Parameters of EMA crossover. */
                ema?: components["schemas"]["ParametersOf_ema_crossover"];
                /** @description Parameters of EMA crossover. */
                ema_crossover?: components["schemas"]["ParametersOf_ema_crossover"];
                /** @description Parameters of MACD. */
                macd?: components["schemas"]["ParametersOf_macd"];
                /** @description Parameters of Mean reversion by z-score. */
                mean_reversion?: components["schemas"]["ParametersOf_mean_reversion"];
                /** @description Parameters of Time-series momentum. */
                momentum?: components["schemas"]["ParametersOf_momentum"];
                /** @description Parameters of Relative strength index. */
                rsi?: components["schemas"]["ParametersOf_rsi"];
                /** @description Parameters of Rule. */
                rule?: components["schemas"]["ParametersOf_rule"];
                /** @description Parameters of SMA crossover. */
                sma?: components["schemas"]["ParametersOf_sma_crossover"];
                /** @description Parameters of SMA crossover. */
                sma_crossover?: components["schemas"]["ParametersOf_sma_crossover"];
                /** @description Parameters of Supertrend. */
                supertrend?: components["schemas"]["ParametersOf_supertrend"];
                /** @description Parameters of Donchian channels. */
                turtle?: components["schemas"]["ParametersOf_donchian"];
                /** @description Parameters of Mean reversion by z-score. */
                zscore?: components["schemas"]["ParametersOf_mean_reversion"];
            };
            /**
             * Symbol
             * @description Letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40.
             */
            symbol: string;
            /**
             * @description From the entry price; a limit order.
             * @default null
             */
            takeProfit: components["schemas"]["Level"] | null;
            /**
             * Usestoporders
             * @description False leaves stopLoss and trailingStop out of this run.
             * @default true
             */
            useStopOrders: boolean;
            /**
             * Usetakeprofits
             * @description False leaves takeProfit out of this run.
             * @default true
             */
            useTakeProfits: boolean;
        };
        /**
         * Datasets
         * @description The market data there is.
         */
        Datasets: {
            /**
             * Items
             * @description One object a series: symbol, interval, version, source, bars, start and end, session, gaps, hash.
             */
            items: {
                [key: string]: unknown;
            }[];
        };
        /**
         * DecisionPage
         * @description A part of what language models decided in a backtest, by bar.
         */
        DecisionPage: {
            /**
             * After
             * @description Bar of the last of them: ask for what comes after it.
             */
            after: number;
            /**
             * Items
             * @description At most `limit`, and what else was decided at the last bar of them.
             */
            items: components["schemas"]["LlmDecision"][];
            /**
             * More
             * @description Whether there are more already.
             */
            more: boolean;
        };
        /**
         * EndedCounts
         * @description How many backtests of all users ended lately, by how.
         */
        EndedCounts: {
            /**
             * Completed
             * @description With a result.
             */
            completed: number;
            /**
             * Failed
             * @description With an error.
             */
            failed: number;
            /**
             * Since
             * Format: date-time
             * @description From when on they are counted: an hour ago.
             * @example 2026-01-31T12:00:00Z
             */
            since: string;
            /**
             * Stopped
             * @description Where somebody stopped them.
             */
            stopped: number;
        };
        /**
         * Equity
         * @description The equity curve, thinned.
         */
        Equity: {
            /**
             * Points
             * @description First, last, and each stretch's lowest and highest.
             */
            points: components["schemas"]["EquityPoint"][];
        };
        /**
         * EquityCurves
         * @description Curves of the run, one entry for each point.
         */
        EquityCurves: {
            /**
             * Buyandhold
             * @description The initial capital, held in the symbol since the first bar, money; null where the bars are gone.
             */
            buyAndHold: (number | null)[] | null;
            /**
             * Drawdown
             * @description Equity below its highest point so far, a fraction, at most 0.
             */
            drawdown: (number | null)[];
            /**
             * Equity
             * @description Cash and open trades at the bar's close, money.
             */
            equity: (number | null)[];
            /**
             * Exposure
             * @description Value of open trades / equity; null where the bars are gone, or trades were left open at the end.
             */
            exposure: (number | null)[] | null;
            /**
             * Time
             * @description When the bar of each opens, milliseconds since 1970.
             */
            time: number[];
        };
        /**
         * EquityPoint
         * @description What the account came to at the close of a bar.
         */
        EquityPoint: {
            /**
             * Equity
             * @description Cash and open trades at the bar's close.
             */
            equity: number | null;
            /**
             * Time
             * Format: date-time
             * @description When the bar opened.
             * @example 2026-01-31T12:00:00Z
             */
            time: string;
        };
        /**
         * Estimate
         * @description What a backtest would run on and take, and ask language models, about: a rule of thumb.
         */
        Estimate: {
            /**
             * Asks
             * @description How often it would ask.
             * @example 500
             */
            asks: number;
            /**
             * Bars
             * @description How many bars it would run.
             * @example 5000
             */
            bars: number;
            /**
             * Costusd
             * @description US dollars; null where a price is unknown. 0 of a replay.
             */
            costUsd: number | null;
            /**
             * Effectiveend
             * Format: date-time
             * @description Where the last of them ends.
             * @example 2026-01-31T12:00:00Z
             */
            effectiveEnd: string;
            /**
             * Effectivestart
             * Format: date-time
             * @description When the first of them opens.
             * @example 2026-01-31T12:00:00Z
             */
            effectiveStart: string;
            /** @description What it must stay within. */
            limits: components["schemas"]["Limits"];
            /**
             * Seconds
             * @description About how long it would run once a worker has it, as runs of its kind took here lately, or as its speed says; null where there were none.
             * @example 1.5
             */
            seconds: number | null;
            /**
             * Tokensin
             * @description Tokens sent.
             */
            tokensIn: number;
            /**
             * Tokensout
             * @description Tokens received.
             */
            tokensOut: number;
            /**
             * Warnings
             * @description Of bars that the model may know by heart; mostly empty.
             */
            warnings: components["schemas"]["ResultWarning"][];
        };
        /**
         * Exchanges
         * @description Whose candles can be fetched.
         */
        Exchanges: {
            /**
             * Available
             * @description Whether this gateway can fetch at all.
             */
            available: boolean;
            /**
             * Exchanges
             * @description Their names.
             * @example [
             *       "binance",
             *       "kraken"
             *     ]
             */
            exchanges: string[];
            /**
             * Remedy
             * @description What to install where it cannot; else null.
             */
            remedy: string | null;
        };
        /**
         * Excursions
         * @description How far prices went while trades were open, one entry for each trade: fractions of the entry price.
         */
        Excursions: {
            /**
             * Index
             * @description Number of the trade in the order they were closed, from 0.
             */
            index: number[];
            /**
             * Mae
             * @description Furthest against it, at most 0.
             */
            mae: number[];
            /**
             * Mfe
             * @description Furthest for it, at least 0.
             */
            mfe: number[];
            /**
             * Return
             * @description Gain after fees / entry value, a fraction.
             */
            return: (number | null)[];
            /**
             * Total
             * @description How many trades there are: of more than 5,000 the outermost, and some between.
             */
            total: number;
        };
        /**
         * ExitGroup
         * @description Trades that closed for one reason.
         */
        ExitGroup: {
            /**
             * Count
             * @description How many.
             */
            count: number;
            /**
             * Pnl
             * @description Sum of what they gained after fees, money.
             */
            pnl: number | null;
            /**
             * Reason
             * @description Which.
             * @example stop_loss
             */
            reason: string;
        };
        /**
         * FetchRequest
         * @description The body of `POST /api/algo/data/fetch`.
         * @example {
         *       "exchange": "binance",
         *       "interval": "1h",
         *       "startDate": "2024-01-01",
         *       "symbol": "BTC/USDT"
         *     }
         */
        FetchRequest: {
            /**
             * As
             * @description What to call it; else as the exchange does, without the slash.
             * @default null
             */
            as: string | null;
            /**
             * Enddate
             * @description Exclusive; else until now.
             * @default null
             */
            endDate: (string) | null;
            /**
             * Exchange
             * @description As `GET …/data/exchanges` names it.
             */
            exchange: string;
            /**
             * Interval
             * @description Length of the bars.
             * @example 1h
             * @enum {string}
             */
            interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Onconflict
             * @description What becomes of stored bars with other values.
             * @default refuse
             * @enum {string}
             */
            onConflict: "refuse" | "keep" | "replace";
            /**
             * Startdate
             * @description First date or instant; else from the last bar on.
             * @default null
             */
            startDate: (string) | null;
            /**
             * Symbol
             * @description As the exchange writes it.
             * @example BTC/USDT
             */
            symbol: string;
        };
        /**
         * FleetView
         * @description The fleet as it is.
         */
        FleetView: {
            /** @description What ended within the last hour. */
            ended: components["schemas"]["EndedCounts"];
            /**
             * Failures
             * @description One's own that failed within the last hour (an admin: all), newest first, at most 20.
             */
            failures: components["schemas"]["RecentFailure"][];
            /**
             * Paused
             * @description How many are paused, of all users, whether they hold a slot or not.
             */
            paused: number;
            /**
             * Queue
             * @description What waits, highest priority first; nothing where nothing waits.
             */
            queue: components["schemas"]["QueueLevel"][];
            /**
             * Running
             * @description How many backtests run, of all users.
             */
            running: number;
            /**
             * Runs
             * @description One's own that run or hold a slot (an admin: all), last begun first, at most 100.
             */
            runs: components["schemas"]["api__routes__fleet_answers__Run"][];
            /**
             * Throughput
             * @description What ended in each of the last 60 minutes, oldest first; the last of them is still under way.
             */
            throughput: components["schemas"]["Throughput"][];
            /**
             * Time
             * Format: date-time
             * @description When this was so.
             * @example 2026-01-31T12:00:00Z
             */
            time: string;
            /**
             * Workers
             * @description All that are there, by id; null while Redis does not answer.
             */
            workers: components["schemas"]["Worker"][] | null;
        };
        /**
         * FunctionDescription
         * @description A function that may stand in a condition.
         */
        FunctionDescription: {
            /**
             * Arguments
             * @description What it takes, in this order.
             */
            arguments: components["schemas"]["Argument"][];
            /**
             * Description
             * @description What it stands for.
             */
            description: string;
            /**
             * Name
             * @description As it is written.
             * @example close
             */
            name: string;
            /**
             * Returns
             * @description What it gives at each bar.
             * @enum {string}
             */
            returns: "number" | "condition";
            /**
             * Signature
             * @description How it is called.
             * @example sma(series, n)
             */
            signature: string;
        };
        /**
         * Health
         * @description Of the process that answers.
         */
        Health: {
            /**
             * Status
             * @description `ok`: it lives. `ready`: it can serve.
             * @enum {string}
             */
            status: "ok" | "ready";
        };
        /**
         * HourGroup
         * @description Trades that were entered in one hour of the day (UTC).
         */
        HourGroup: {
            /**
             * Key
             * @description Which.
             */
            key: number;
            /**
             * Pnl
             * @description Sum of what they gained after fees, money.
             */
            pnl: number | null;
            /**
             * Trades
             * @description How many.
             */
            trades: number;
        };
        /**
         * Imported
         * @description What an import came to.
         */
        Imported: {
            /**
             * Items
             * @description One report for each series in the files.
             */
            items: {
                [key: string]: unknown;
            }[];
        };
        /** @description Any JSON. */
        JsonValue: unknown;
        /**
         * Key
         * @description A key of a program, without the key itself.
         */
        Key: {
            /**
             * Createdat
             * Format: date-time
             * @description When it was made.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Expiresat
             * Format: date-time
             * @description When it ends.
             * @example 2026-01-31T12:00:00Z
             */
            expiresAt: string;
            /**
             * Keyid
             * @description Names it.
             */
            keyId: string;
            /**
             * Name
             * @description What it is for.
             * @example nightly runs
             */
            name: string;
            /**
             * Scopes
             * @description What it is good for.
             */
            scopes: ("read" | "write" | "data" | "admin")[];
        };
        /**
         * KeyRequest
         * @description The body of `POST /api/users/me/keys`.
         * @example {
         *       "expiresInDays": 90,
         *       "name": "nightly runs",
         *       "scopes": [
         *         "read",
         *         "write"
         *       ]
         *     }
         */
        KeyRequest: {
            /**
             * Expiresindays
             * @description Days until it ends.
             * @default 90
             */
            expiresInDays: number;
            /**
             * Name
             * @description What it is for.
             */
            name: string;
            /**
             * Scopes
             * @description `read` sees and watches all of one's own, `write` submits, controls and deletes backtests, `data` changes market data, `admin` keeps users; each as far as the roles allow.
             */
            scopes: ("read" | "write" | "data" | "admin")[];
        };
        /**
         * Keys
         * @description Somebody's keys.
         */
        Keys: {
            /**
             * Items
             * @description All of them.
             */
            items: components["schemas"]["Key"][];
        };
        /**
         * Language
         * @description What a condition written as text can name.
         */
        Language: {
            /**
             * Functions
             * @description What can be computed of them.
             */
            functions: components["schemas"]["FunctionDescription"][];
            /**
             * Keywords
             * @description What joins conditions.
             */
            keywords: components["schemas"]["Word"][];
            /**
             * Operators
             * @description What compares and computes.
             */
            operators: components["schemas"]["Word"][];
            /**
             * Parameters
             * @description Which parameters are such texts.
             * @example [
             *       "long",
             *       "exit"
             *     ]
             */
            parameters: string[];
            /**
             * Series
             * @description Columns of the bars.
             */
            series: components["schemas"]["Word"][];
        };
        /**
         * Level
         * @description How far a stop or a target stands from the price; exactly one of three.
         */
        Level: {
            /**
             * Atr
             * @description Average true ranges (atrPeriod) when the order was decided.
             * @default null
             */
            atr: number | null;
            /**
             * Distance
             * @description In units of the price.
             * @default null
             */
            distance: number | null;
            /**
             * Percent
             * @description Percent of the price: 2 is 2 %.
             * @default null
             */
            percent: number | null;
        };
        /**
         * Limits
         * @description What the asks of a backtest must stay within.
         */
        Limits: {
            /**
             * Exceeded
             * @description Limits that a submission is refused for; empty where it is not.
             */
            exceeded: components["schemas"]["WrongField"][];
            /**
             * Lefttodayusd
             * @description What is left of them.
             */
            leftTodayUsd: number;
            /**
             * Maxcostusd
             * @description US dollars of the backtest; null without such a limit.
             */
            maxCostUsd: number | null;
            /**
             * Maxdecisions
             * @description Asks of the backtest; null without such a limit.
             */
            maxDecisions: number | null;
            /**
             * Userdayusd
             * @description US dollars a day (UTC) of all one's backtests.
             */
            userDayUsd: number;
        };
        /**
         * LlmDecision
         * @description What a language model decided at a bar, and what it cost.
         */
        LlmDecision: {
            /**
             * Abstained
             * @description Whether it counts as holding for want of a usable answer.
             */
            abstained: boolean;
            /**
             * Action
             * @description What it came to, after safety.
             * @enum {string}
             */
            action: "LONG" | "SHORT" | "CLOSE" | "HOLD";
            /**
             * Bar
             * @description At the close of which bar.
             * @example 499
             */
            bar: number;
            /**
             * Costusd
             * @description US dollars; 0 of one that was stored.
             */
            costUsd: number;
            /**
             * Decidedat
             * Format: date-time
             * @description When it was stored.
             * @example 2026-01-31T12:00:00Z
             */
            decidedAt: string;
            /** @description What became of it. */
            decision: components["schemas"]["Ordered"];
            /**
             * Key
             * @description Equal keys: the same question, to the same model, with the same settings.
             */
            key: string;
            /**
             * Latencyms
             * @description How long the model took.
             */
            latencyMs: number;
            /**
             * Mode
             * @description `live`, `record` or `replay`.
             * @example record
             */
            mode: string;
            /**
             * Model
             * @description Which model.
             * @example vendor/model
             */
            model: string;
            /**
             * Raw
             * @description With `context`: the answer as it came.
             */
            raw?: string | null;
            /**
             * Reason
             * @description Why it abstained; empty where it did not.
             */
            reason: string;
            /**
             * Safety
             * @description A sentence for each time that safety stepped in.
             */
            safety: string[];
            /** @description Null where no answer could be used. */
            said: components["schemas"]["Said"] | null;
            /**
             * Stored
             * @description Whether it was taken from an earlier backtest.
             */
            stored: boolean;
            /**
             * Strategy
             * @description As the request calls it.
             * @example ai_trader
             */
            strategy: string;
            /**
             * System
             * @description With `context`: the trader's instructions as they were sent.
             */
            system?: string | null;
            /**
             * Time
             * Format: date-time
             * @description When the bar opened.
             * @example 2026-01-31T12:00:00Z
             */
            time: string;
            /**
             * Tokensin
             * @description Tokens sent.
             */
            tokensIn: number;
            /**
             * Tokensout
             * @description Tokens received.
             */
            tokensOut: number;
            /**
             * User
             * @description With `context`: what it was shown.
             */
            user?: string | null;
        };
        /**
         * LogEntry
         * @description A line that a strategy or the engine logged.
         */
        LogEntry: {
            /**
             * Function
             * @description The function in it; empty where there is none.
             */
            function: string;
            /**
             * Level
             * @description As Python's `logging` names it.
             * @example INFO
             */
            level: string;
            /**
             * Line
             * @description The line in its file.
             */
            line: number;
            /**
             * Loggername
             * @description Which logger.
             * @example backtest.bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            loggerName: string;
            /**
             * Message
             * @description At most 2,000 characters.
             */
            message: string;
            /**
             * Module
             * @description The Python module that logged it.
             */
            module: string;
            /**
             * Number
             * @description Counts the lines of a backtest.
             */
            number: number;
            /**
             * Timestamp
             * Format: date-time
             * @description When it was logged.
             * @example 2026-01-31T12:00:00Z
             */
            timestamp: string;
        };
        /**
         * LogPage
         * @description A part of what a backtest's runs logged, in order.
         */
        LogPage: {
            /**
             * After
             * @description Number of the last of them: ask for what comes after it.
             */
            after: number;
            /**
             * Items
             * @description At most `limit` of them.
             */
            items: components["schemas"]["LogEntry"][];
            /**
             * More
             * @description Whether there are more already.
             */
            more: boolean;
        };
        /**
         * LoggedIn
         * @description What to go on with after a login or a refresh.
         */
        LoggedIn: {
            /**
             * Accesstoken
             * @description `Authorization: Bearer …`, and `auth.token` of a socket.
             */
            accessToken: string;
            /**
             * Expiresin
             * @description Seconds the access token is good for.
             * @example 900
             */
            expiresIn: number;
            /**
             * Refreshexpiresat
             * Format: date-time
             * @description When to log in again at the latest.
             * @example 2026-01-31T12:00:00Z
             */
            refreshExpiresAt: string;
            /**
             * Refreshtoken
             * @description Good for one refresh, whose answer has the next one.
             */
            refreshToken: string;
            /**
             * Tokentype
             * @description How it is sent.
             * @constant
             */
            tokenType: "Bearer";
            /** @description Who logged in. */
            user: components["schemas"]["User"];
        };
        /**
         * LoginRequest
         * @description The body of `POST /api/auth/login`.
         * @example {
         *       "name": "ann",
         *       "password": "four random words here"
         *     }
         */
        LoginRequest: {
            /**
             * Name
             * @description Who logs in.
             * @example ann
             */
            name: string;
            /**
             * Password
             * Format: password
             * @description His password.
             */
            password: string;
        };
        /**
         * Me
         * @description Who asks, and what he may do.
         */
        Me: {
            /**
             * Known
             * @description False for a user of whom nothing is kept here: he has no password and no keys.
             */
            known: boolean;
            /**
             * Maychangedata
             * @description Whether shared market data may be imported.
             */
            mayChangeData: boolean;
            /**
             * Name
             * @description The `sub` of the token.
             * @example ann
             */
            name: string;
            /**
             * Prioritymax
             * @description Highest priority of a backtest of this user.
             */
            priorityMax: number;
            /**
             * Roles
             * @description As they are kept here, whatever the token says.
             */
            roles: ("user" | "admin")[];
            /**
             * Scopes
             * @description What the key that was sent is good for; null for a token.
             */
            scopes: ("read" | "write" | "data" | "admin")[] | null;
        };
        /**
         * MonthReturn
         * @description Of one month (UTC).
         */
        MonthReturn: {
            /**
             * Month
             * @description Which.
             */
            month: number;
            /**
             * Return
             * @description A fraction; null once equity was not above zero.
             */
            return: number | null;
            /**
             * Year
             * @description Which.
             * @example 2024
             */
            year: number;
        };
        /**
         * NewKey
         * @description A key that was just made.
         */
        NewKey: {
            /**
             * Createdat
             * Format: date-time
             * @description When it was made.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Expiresat
             * Format: date-time
             * @description When it ends.
             * @example 2026-01-31T12:00:00Z
             */
            expiresAt: string;
            /**
             * Key
             * @description Used as a token is. It is shown this once.
             */
            key: string;
            /**
             * Keyid
             * @description Names it.
             */
            keyId: string;
            /**
             * Name
             * @description What it is for.
             * @example nightly runs
             */
            name: string;
            /**
             * Scopes
             * @description What it is good for.
             */
            scopes: ("read" | "write" | "data" | "admin")[];
        };
        /**
         * Ordered
         * @description What the engine was told.
         */
        Ordered: {
            /**
             * Signal
             * @description 1 long, -1 short, 0 flat; null: as it was.
             */
            signal: (1 | -1 | 0) | null;
            /**
             * Sizefraction
             * @description Share of equity, where it is not the request's.
             */
            sizeFraction: number | null;
            /**
             * Stopprice
             * @description Stop, where it is not the request's.
             */
            stopPrice: number | null;
            /**
             * Targetprice
             * @description Target, where it is not the request's.
             */
            targetPrice: number | null;
        };
        /**
         * AiTraderParameters
         * @description Long, short or flat as a language model decides that is shown prices, indicators and the account.
         */
        ParametersOf_ai_trader: {
            /**
             * Baseurl
             * @description URL of another OpenAI-compatible endpoint; empty: the provider's.
             * @default
             */
            baseUrl: string;
            /**
             * Every
             * @description At every how many bars it is asked.
             * @default 1
             */
            every: number;
            /**
             * Indicators
             * @description What it is shown beside prices, each with its numbers: ema 20, rsi 14, macd 12 26 9, atr 14.
             * @default []
             */
            indicators: string[];
            /**
             * Knowledgecutoff
             * @description Day from which on the model cannot have seen prices, as 2025-01-31, if known.
             * @default
             */
            knowledgeCutoff: string;
            /**
             * Lookbackbars
             * @description How many of the last bars it is shown.
             * @default 50
             */
            lookbackBars: number;
            /**
             * Maxabstainedshare
             * @description Share of questions without a usable answer above which the run fails.
             * @default 0.2
             */
            maxAbstainedShare: number;
            /**
             * Maxcostusd
             * @description Most money of one backtest, in US dollars.
             * @default 5
             */
            maxCostUsd: number;
            /**
             * Maxdailylosspercent
             * @description In safety mode, after such a loss in a UTC day it only closes.
             * @default 5
             */
            maxDailyLossPercent: number;
            /**
             * Maxdecisions
             * @description Most questions of one backtest.
             * @default 10000
             */
            maxDecisions: number;
            /**
             * Maxpositionfraction
             * @description In safety mode the largest position, in equities, and of a trade that is given no size; null: the request's sizing.
             * @default null
             */
            maxPositionFraction: number | null;
            /**
             * Maxtokens
             * @description Most tokens of one answer.
             * @default 2000
             */
            maxTokens: number;
            /**
             * Minconfidence
             * @description In safety mode, less confident answers are HOLD.
             * @default 0.5
             */
            minConfidence: number;
            /**
             * Mode
             * @description record takes an answer that is stored and else asks and stores; live always asks; replay takes only what is stored.
             * @default record
             * @enum {string}
             */
            mode: "live" | "record" | "replay";
            /**
             * Model
             * @description Which model trades, as its provider calls it. Must be named, here or by an agent.
             * @default
             */
            model: string;
            /**
             * Prompt
             * @description The trader's instructions, in words.
             * @default Trade this market with care. Go with the trend, cut losses early and let profits run.
             */
            prompt: string;
            /**
             * Provider
             * @description Whose key is used, and whose URL.
             * @default openrouter
             */
            provider: string;
            /**
             * Safetymode
             * @description Whether the limits below hold.
             * @default true
             */
            safetyMode: boolean;
            /**
             * Seed
             * @description Asks the model for the same answer each time, which it may not heed.
             * @default null
             */
            seed: number | null;
            /**
             * Stoplosspercent
             * @description In safety mode every trade has a stop, at most so far from the close.
             * @default 2
             */
            stopLossPercent: number;
            /**
             * Temperature
             * @description How freely it answers; null leaves it to it.
             * @default null
             */
            temperature: number | null;
        };
        /**
         * BollingerParameters
         * @description Long when the close returns above the lower band, short when it returns below the upper, flat at the middle (Bollinger 2001).
         */
        ParametersOf_bollinger: {
            /**
             * Deviations
             * @description Standard deviations between the middle and each band.
             * @default 2
             */
            deviations: number;
            /**
             * Period
             * @description Bars in the middle band and in the deviation.
             * @default 20
             */
            period: number;
        };
        /**
         * BuyAndHoldParameters
         * @description Long from the first bar to the last: the measure of every other strategy.
         */
        ParametersOf_buy_and_hold: Record<string, never>;
        /**
         * DonchianParameters
         * @description Long above the highest high of earlier bars, short below the lowest low, flat at the nearer channel (Faith 2007, the turtles' system 1).
         */
        ParametersOf_donchian: {
            /**
             * Entry
             * @description Earlier bars whose high (low) a close must exceed to enter.
             * @default 20
             */
            entry: number;
            /**
             * Exit
             * @description Earlier bars whose low (high) ends a long (short); at most entry.
             * @default 10
             */
            exit: number;
        };
        /**
         * EmaCrossoverParameters
         * @description Long when the fast exponential moving average crosses above the slow one, short when it crosses below (Appel 2005).
         */
        ParametersOf_ema_crossover: {
            /**
             * Fast
             * @description Bars in the fast average.
             * @default 12
             */
            fast: number;
            /**
             * Slow
             * @description Bars in the slow average; must be above fast.
             * @default 26
             */
            slow: number;
        };
        /**
         * MacdParameters
         * @description Long when the MACD line crosses above its signal line, short when it crosses below (Appel 1979).
         */
        ParametersOf_macd: {
            /**
             * Fast
             * @description Bars in the fast exponential average.
             * @default 12
             */
            fast: number;
            /**
             * Signal
             * @description Bars over which the MACD line is smoothed.
             * @default 9
             */
            signal: number;
            /**
             * Slow
             * @description Bars in the slow exponential average; must be above fast.
             * @default 26
             */
            slow: number;
        };
        /**
         * MeanReversionParameters
         * @description Long when the price is far below its average, short when it is far above, flat when it is back (Chan 2013).
         */
        ParametersOf_mean_reversion: {
            /**
             * Entry
             * @description Long when the z-score falls to minus this, short at plus this.
             * @default 2
             */
            entry: number;
            /**
             * Exit
             * @description Flat when the z-score is back within this; must be below entry.
             * @default 0.5
             */
            exit: number;
            /**
             * Period
             * @description Bars in the average and in the deviation.
             * @default 20
             */
            period: number;
        };
        /**
         * MomentumParameters
         * @description Long when the price has risen over the period, short when it has fallen (Moskowitz et al. 2012).
         */
        ParametersOf_momentum: {
            /**
             * Period
             * @description Bars back to the close that the present one is compared with.
             * @default 20
             */
            period: number;
            /**
             * Threshold
             * @description Percent of change that counts: 0 takes any.
             * @default 0
             */
            threshold: number;
        };
        /**
         * RsiParameters
         * @description Long when RSI crosses back above oversold, short when it crosses back below overbought (Wilder 1978).
         */
        ParametersOf_rsi: {
            /**
             * Overbought
             * @description Short when the index crosses back below this.
             * @default 70
             */
            overbought: number;
            /**
             * Oversold
             * @description Long when the index crosses back above this.
             * @default 30
             */
            oversold: number;
            /**
             * Period
             * @description Bars over which gains and losses are smoothed.
             * @default 14
             */
            period: number;
        };
        /**
         * RuleParameters
         * @description Long, short and flat by conditions written as text, of prices, indicators, comparisons, and, or and not.
         */
        ParametersOf_rule: {
            /**
             * Exit
             * @description Condition to be flat, stronger than the others. Empty or left out: never.
             * @default
             */
            exit: string;
            /**
             * Long
             * @description Condition to be long. Empty, or left out where another is given: never.
             * @default crosses_above(sma(close, 10), sma(close, 30))
             */
            long: string;
            /**
             * Short
             * @description Condition to be short. Empty, or left out where another is given: never.
             * @default crosses_below(sma(close, 10), sma(close, 30))
             */
            short: string;
        };
        /**
         * SmaCrossoverParameters
         * @description Long when the fast simple moving average crosses above the slow one, short when it crosses below (Murphy 1999, double crossover).
         */
        ParametersOf_sma_crossover: {
            /**
             * Fast
             * @description Bars in the fast average.
             * @default 10
             */
            fast: number;
            /**
             * Slow
             * @description Bars in the slow average; must be above fast.
             * @default 30
             */
            slow: number;
        };
        /**
         * SupertrendParameters
         * @description Long when the close breaks above a ratcheting band of average true ranges, short when it breaks below (Seban 2008).
         */
        ParametersOf_supertrend: {
            /**
             * Multiplier
             * @description Average true ranges between the price and each band.
             * @default 3
             */
            multiplier: number;
            /**
             * Period
             * @description Bars over which the true range is averaged.
             * @default 10
             */
            period: number;
        };
        /**
         * PlainCommand
         * @description A command that needs nothing beside its action.
         *
         *     `commandId` makes one that is sent again count once; where there is none, one is made.
         * @example {
         *       "commandId": "pause-1"
         *     }
         */
        PlainCommand: {
            /**
             * Commandid
             * @description Makes it count once, however often it is sent; one is made where it is left out.
             * @default null
             */
            commandId: string | null;
        };
        /**
         * Problem
         * @description A problem document (RFC 9457).
         */
        Problem: {
            /**
             * Code
             * @description Stable machine-readable name.
             * @example invalid_request
             */
            code: string;
            /**
             * Detail
             * @description What is wrong and what to do, for people.
             */
            detail: string;
            /**
             * Errors
             * @description Field by field; empty where it is no field's fault.
             */
            errors: components["schemas"]["ProblemField"][];
            /**
             * Status
             * @description As in the status line.
             * @example 422
             */
            status: number;
            /**
             * Title
             * @description What the status means.
             * @example Unprocessable Entity
             */
            title: string;
            /**
             * Type
             * @description `urn:backfleet:problem:` and the code.
             */
            type: string;
        };
        /**
         * ProblemChoice
         * @description One answer to a question.
         */
        ProblemChoice: {
            /**
             * Label
             * @description What it means, for people.
             * @example Day first: 31/12/2024
             */
            label: string;
            /**
             * Value
             * @description What to send in the field.
             * @example dmy
             */
            value: string;
        };
        /**
         * ProblemField
         * @description One thing that is wrong, or is asked.
         */
        ProblemField: {
            /**
             * Choices
             * @description Answers that will do, all or the likely ones; only where there are such.
             */
            choices?: components["schemas"]["ProblemChoice"][] | null;
            /**
             * Code
             * @description Stable machine-readable name; `choose` of a question.
             */
            code: string;
            /**
             * Field
             * @description Dotted path as the caller wrote it.
             * @example strategyParams.sma.fast
             */
            field: string;
            /**
             * Message
             * @description What is wrong with it, and what to write.
             */
            message: string;
        };
        /**
         * ProviderKey
         * @description A key for a provider, without the key.
         */
        ProviderKey: {
            /**
             * Baseurl
             * @description Where it is sent; null: to the provider's usual address.
             */
            baseUrl: string | null;
            /**
             * Createdat
             * Format: date-time
             * @description When one was first stored.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Key
             * @description Its last four characters; nothing of a short one.
             * @example …WXYZ
             */
            key: string;
            /**
             * Provider
             * @description Whose models it is for.
             * @example openrouter
             */
            provider: string;
            /**
             * Updatedat
             * Format: date-time
             * @description When this one was.
             * @example 2026-01-31T12:00:00Z
             */
            updatedAt: string;
        };
        /**
         * ProviderKeyRequest
         * @description The body of `PUT /api/llm/keys/{provider}`. Refusals never repeat a value: it may be a key.
         * @example {
         *       "key": "sk-or-v1-0123456789abcdef"
         *     }
         */
        ProviderKeyRequest: {
            /**
             * Baseurl
             * @description Where the key is sent, and nowhere else; the provider's usual address where left out.
             * @default null
             * @example https://models.example/v1
             */
            baseUrl: string | null;
            /**
             * Key
             * Format: password
             * @description The provider's key. Nobody can read it again; its last four characters are shown.
             */
            key: string;
        };
        /**
         * ProviderKeys
         * @description One's keys for providers.
         */
        ProviderKeys: {
            /**
             * Items
             * @description All of them, by provider.
             */
            items: components["schemas"]["ProviderKey"][];
        };
        /**
         * QueueLevel
         * @description What waits at one priority.
         */
        QueueLevel: {
            /**
             * Oldestseconds
             * @description How long the oldest of them has waited.
             */
            oldestSeconds: number;
            /**
             * Pending
             * @description How many backtests wait, of all users.
             */
            pending: number;
            /**
             * Priority
             * @description Higher runs earlier.
             */
            priority: number;
        };
        /**
         * RecentFailure
         * @description One backtest that failed within the last hour.
         */
        RecentFailure: {
            /**
             * At
             * Format: date-time
             * @description When it failed.
             * @example 2026-01-31T12:00:00Z
             */
            at: string;
            /**
             * Backtestid
             * @description Which.
             */
            backtestId: string;
            /**
             * Code
             * @description Stable machine-readable name of the reason.
             * @example strategy_error
             */
            code: string | null;
            /**
             * Message
             * @description What went wrong, for people.
             */
            message: string | null;
            /**
             * Symbol
             * @description Of which market.
             * @example AAPL
             */
            symbol: string | null;
            /**
             * Userid
             * @description Whose: one's own, unless an admin asks.
             */
            userId: string;
        };
        /**
         * RefreshRequest
         * @description The body of `POST /api/auth/refresh` and `POST /api/auth/logout`.
         * @example {
         *       "refreshToken": "bfr_…"
         *     }
         */
        RefreshRequest: {
            /**
             * Refreshtoken
             * Format: password
             * @description Of the login, or of its last refresh.
             */
            refreshToken: string;
        };
        /**
         * Result
         * @description What a backtest came to.
         */
        Result: {
            /**
             * Backtestid
             * @description Whose result it is.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtestId: string;
            /**
             * Config
             * @description What was asked for.
             */
            config: {
                [key: string]: unknown;
            };
            /**
             * Createdat
             * Format: date-time
             * @description When it was made.
             */
            createdAt: string;
            /**
             * Datasethash
             * @description Names the exact bars that were read, those of the warm-up included.
             */
            datasetHash: string;
            /**
             * Effectiveend
             * @description Where the last bar that was run ends; null in older results.
             */
            effectiveEnd: string | null;
            /**
             * Effectivestart
             * @description When the first bar that was run opens; null in older results.
             */
            effectiveStart: string | null;
            /**
             * Engineversion
             * @description Results of different versions may differ.
             * @example 3
             */
            engineVersion: string;
            /**
             * Metrics
             * @description All of them, as docs/metrics.md defines them; null where undefined.
             */
            metrics: {
                [key: string]: unknown;
            };
            /**
             * Resampledfrom
             * @description Interval of the finer bars its bars were made of; null where none.
             */
            resampledFrom: string | null;
            /**
             * Resulthash
             * @description Equal for equal results, on whatever machine and after whatever break.
             */
            resultHash: string;
            /**
             * Resultid
             * @description Names the result.
             * @example res_01m7z2pktzwc1k11f1acmmt1cy
             */
            resultId: string;
            /**
             * Seed
             * @description Seed of whatever was random in the run.
             */
            seed: number;
            /**
             * Summary
             * @description The metrics that people look at first.
             */
            summary: {
                [key: string]: unknown;
            };
            /**
             * Totalbars
             * @description How many bars were run.
             */
            totalBars: number;
            /**
             * Warmupbars
             * @description How many bars before the first one indicators began with, which traded nothing; null in older results.
             */
            warmupBars: number | null;
            /**
             * Warnings
             * @description What went otherwise than may be thought, although nothing was refused: a range longer than the data, say, or fields of a published task that are unknown. No part of `resultHash`.
             */
            warnings: components["schemas"]["ResultWarning"][];
            /**
             * Yearbasis
             * @description Whether the bars or the request say how many periods make a year (periodsPerYear); null in older results.
             */
            yearBasis: ("observed" | "requested") | null;
        };
        /**
         * ResultWarning
         * @description One thing that went otherwise than whoever asked may think.
         */
        ResultWarning: {
            /**
             * Code
             * @description Stable machine-readable name.
             */
            code: string;
            /**
             * Field
             * @description Dotted path as the asker wrote it, where it is about one.
             */
            field?: string | null;
            /**
             * Message
             * @description What went otherwise, and where one can do something about it, what.
             */
            message: string;
        };
        /**
         * RolesRequest
         * @description The body of `POST /api/users/{name}/roles`.
         * @example {
         *       "roles": [
         *         "user",
         *         "admin"
         *       ]
         *     }
         */
        RolesRequest: {
            /**
             * Roles
             * @description `user`, or `admin` for who may do everything.
             */
            roles: ("user" | "admin")[];
        };
        /**
         * RollingSharpe
         * @description The Sharpe ratio of the last days, one entry for each window.
         */
        RollingSharpe: {
            /**
             * Time
             * @description When the last bar of each opens, milliseconds since 1970.
             */
            time: number[];
            /**
             * Value
             * @description Annualised; null where returns do not vary.
             */
            value: (number | null)[];
            /**
             * Windowdays
             * @description How many days that are, about.
             */
            windowDays: number;
            /**
             * Windowreturns
             * @description How many returns between day ends a window has.
             */
            windowReturns: number;
        };
        /**
         * RunCandles
         * @description A backtest's bars. `start`, `end`, `bars` and `datasetHash` are of those in the range that was asked for.
         */
        RunCandles: {
            /**
             * Backtestid
             * @description Which backtest.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtestId: string;
            /**
             * Bars
             * @description How many bars of the interval there are from start to end.
             */
            bars: number;
            /**
             * Bucketms
             * @description How long they are: a multiple of the interval; of a month, of 30 days.
             */
            bucketMs: number;
            /**
             * Close
             * @description Last price of each.
             */
            close: number[];
            /**
             * Datasethash
             * @description Names the exact bars.
             * @example sha256:0b9765c6c71072b467c2ee5fd486519ed47399cbef73aef5700d5575beb1246e
             */
            datasetHash: string;
            /**
             * End
             * Format: date-time
             * @description Where the last bar ends.
             * @example 2026-01-31T12:00:00Z
             */
            end: string;
            /**
             * High
             * @description Highest price of each.
             */
            high: number[];
            /**
             * Indicators
             * @description By name, as `backtest:candle` has them: one value for each bar, that of its end; null where there is none.
             * @example {
             *       "sma 10": [
             *         null,
             *         101.5
             *       ]
             *     }
             */
            indicators: {
                [key: string]: (number | null)[];
            };
            /**
             * Interval
             * @description As asked for.
             * @enum {string}
             */
            interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Low
             * @description Lowest price of each.
             */
            low: number[];
            /**
             * Open
             * @description First price of each.
             */
            open: number[];
            /**
             * Resampled
             * @description Whether the bars sent are longer than the interval.
             */
            resampled: boolean;
            /**
             * Resampledfrom
             * @description Interval of the stored bars, where they are finer.
             */
            resampledFrom: string | null;
            /**
             * Start
             * Format: date-time
             * @description First bar's time.
             * @example 2026-01-31T12:00:00Z
             */
            start: string;
            /**
             * Symbol
             * @description As asked for.
             * @example AAPL
             */
            symbol: string;
            /**
             * Time
             * @description When each bar opened.
             */
            time: string[];
            /**
             * Volume
             * @description What was traded in each.
             */
            volume: number[];
            /**
             * Warnings
             * @description `code` and `message` of indicators that are not there.
             */
            warnings: {
                [key: string]: unknown;
            }[];
        };
        /**
         * RunRequest
         * @description A backtest of one strategy, which begins at once.
         * @example {
         *       "commission": 0.001,
         *       "end_date": "2013-03-01",
         *       "initial_cash": 10000,
         *       "start_date": "2000-03-01",
         *       "strategy_name": "sma_crossover",
         *       "symbol": "AAPL",
         *       "timeframe": "D1",
         *       "variant": "vanilla"
         *     }
         */
        RunRequest: {
            /**
             * Commission
             * @description Share of the traded value: 0.001 is 0.1 %.
             * @default 0
             */
            commission: number;
            /**
             * End Date
             * @description Exclusive.
             * @example 2024-01-31
             * @example 2024-01-31T12:00:00Z
             */
            end_date: string;
            /**
             * Initial Cash
             * @description Money to begin with.
             * @default 10000
             */
            initial_cash: number;
            /**
             * Start Date
             * @description First bar's time or later, inclusive.
             * @example 2024-01-31
             * @example 2024-01-31T12:00:00Z
             */
            start_date: string;
            /**
             * Strategy Name
             * @description Id or other name of a strategy.
             * @enum {string}
             */
            strategy_name: "ai" | "ai_trader" | "bollinger" | "buy_and_hold" | "donchian" | "ema" | "ema_crossover" | "macd" | "mean_reversion" | "momentum" | "rsi" | "rule" | "sma" | "sma_crossover" | "supertrend" | "turtle" | "zscore";
            /**
             * Symbol
             * @description Letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40.
             */
            symbol: string;
            /**
             * Timeframe
             * @description Length of the bars: H1 or 1h is an hour, M1 or 1m a minute, MN1 a month.
             * @enum {string}
             */
            timeframe: "M1" | "M5" | "M15" | "M30" | "H1" | "H4" | "D1" | "W1" | "MN1" | "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Variant
             * @description Kind of the run; there is no other.
             * @default vanilla
             * @constant
             */
            variant: "vanilla";
        };
        /**
         * Said
         * @description What a model said.
         */
        Said: {
            /**
             * Action
             * @description What to do.
             * @enum {string}
             */
            action: "LONG" | "SHORT" | "CLOSE" | "HOLD";
            /**
             * Confidence
             * @description How sure it says it is.
             */
            confidence: number;
            /**
             * Reasoning
             * @description Why, in its own words.
             */
            reasoning: string;
            /**
             * Sizefraction
             * @description Share of equity of the trade that it opens.
             */
            sizeFraction: number | null;
            /**
             * Stoplossprice
             * @description Its stop.
             */
            stopLossPrice: number | null;
            /**
             * Takeprofitprice
             * @description Its target.
             */
            takeProfitPrice: number | null;
        };
        /**
         * SeekCommand
         * @description Goes to a bar, forward or back.
         * @example {
         *       "bar": 500
         *     }
         */
        SeekCommand: {
            /**
             * Bar
             * @description For seek: to just before this bar, counted from 0.
             * @default null
             * @example 500
             */
            bar: number | null;
            /**
             * Commandid
             * @description Makes it count once, however often it is sent; one is made where it is left out.
             * @default null
             */
            commandId: string | null;
            /**
             * Time
             * @description For seek: to just before the first bar from then on.
             * @default null
             */
            time: (string) | null;
        };
        /**
         * SeriesGap
         * @description Bars that are missing one after the other, but for what is closed between them.
         */
        SeriesGap: {
            /**
             * Bars
             * @description How many are missing.
             */
            bars: number;
            /**
             * From
             * Format: date-time
             * @description When the first of them would open.
             * @example 2026-01-31T12:00:00Z
             */
            from: string;
            /**
             * To
             * Format: date-time
             * @description Where the last of them would end.
             * @example 2026-01-31T12:00:00Z
             */
            to: string;
        };
        /**
         * SeriesGaps
         * @description What is missing in a series, in bars of the stored interval.
         */
        SeriesGaps: {
            /**
             * Bars
             * @description How many are stored.
             */
            bars: number;
            /**
             * End
             * Format: date-time
             * @description Where the last bar ends.
             * @example 2026-01-31T12:00:00Z
             */
            end: string;
            /**
             * Expectedbars
             * @description How many there would be if none was missing.
             */
            expectedBars: number;
            /**
             * Gaps
             * @description In order of time; where there are more than `limit`, the largest.
             */
            gaps: components["schemas"]["SeriesGap"][];
            /**
             * Interval
             * @description As asked for.
             * @enum {string}
             */
            interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            /**
             * Resampledfrom
             * @description Interval of the stored bars, where they are finer.
             */
            resampledFrom: string | null;
            /**
             * Start
             * Format: date-time
             * @description First bar's time.
             * @example 2026-01-31T12:00:00Z
             */
            start: string;
            /**
             * Symbol
             * @description As asked for.
             * @example AAPL
             */
            symbol: string;
            /**
             * Total
             * @description How many gaps there are.
             */
            total: number;
        };
        /**
         * Session
         * @description A session and its state.
         */
        Session: {
            /**
             * Sessionid
             * @description Names it.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            sessionId: string;
            /**
             * State
             * @description As of the newest that is known: the fields of `backtest:state`.
             */
            state: {
                [key: string]: unknown;
            };
        };
        /**
         * SessionCreated
         * @description A session that waits to be started.
         */
        SessionCreated: {
            /**
             * Expiresat
             * @description When it is removed unless it is started by then; null afterwards.
             */
            expiresAt: string | null;
            /**
             * Note
             * @description Only where another symbol was written than there is market data of: which one is used.
             */
            note?: string | null;
            /**
             * Sessionid
             * @description Names it; it is a backtestId, too.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            sessionId: string;
            /**
             * Status
             * @description `idle`; where its Idempotency-Key was used before, as it is now.
             * @enum {string}
             */
            status: "idle" | "running" | "paused" | "completed" | "stopped" | "failed";
            /**
             * Strategies
             * @description Which it runs.
             */
            strategies: string[];
            /**
             * Symbol
             * @description Whose bars it reads.
             * @example BTCUSD
             */
            symbol: string;
        };
        /**
         * SessionListed
         * @description One of one's sessions.
         */
        SessionListed: {
            /**
             * Createdat
             * Format: date-time
             * @description When it was created.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Enddate
             * @description As it was asked for; exclusive.
             * @example 2024-12-01
             */
            endDate: string;
            /**
             * Progresspercent
             * @description Percent of its bars.
             */
            progressPercent: number;
            /**
             * Sessionid
             * @description Names it.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            sessionId: string;
            /**
             * Startdate
             * @description As it was asked for.
             * @example 2024-01-01
             */
            startDate: string;
            /**
             * Status
             * @description `idle` until it is started; the last three are ends.
             * @enum {string}
             */
            status: "idle" | "running" | "paused" | "completed" | "stopped" | "failed";
            /**
             * Symbol
             * @description Whose bars it reads.
             */
            symbol: string;
        };
        /**
         * SessionPage
         * @description A part of one's sessions, newest first.
         */
        SessionPage: {
            /**
             * Nextcursor
             * @description `cursor` of the next page; null at the end.
             */
            nextCursor: string | null;
            /**
             * Sessions
             * @description At most `limit` of them.
             */
            sessions: components["schemas"]["SessionListed"][];
        };
        /**
         * SetPasswordRequest
         * @description The body of `POST /api/users/{name}/password`.
         * @example {
         *       "password": "four random words here"
         *     }
         */
        SetPasswordRequest: {
            /**
             * Password
             * Format: password
             * @description The new one.
             */
            password: string;
        };
        /**
         * SideGroup
         * @description Trades of one side.
         */
        SideGroup: {
            /**
             * Pnl
             * @description Sum of what they gained after fees, money.
             */
            pnl: number | null;
            /**
             * Side
             * @description Which.
             * @enum {string}
             */
            side: "long" | "short";
            /**
             * Trades
             * @description How many.
             */
            trades: number;
            /**
             * Wins
             * @description How many of them gained.
             */
            wins: number;
        };
        /**
         * Sizing
         * @description How large a trade is, where it is not a share of equity.
         */
        Sizing: {
            /**
             * Mode
             * @description fixed_quantity: units; fixed_notional: money; risk_fraction: share of equity lost at the stop.
             * @enum {string}
             */
            mode: "equity_fraction" | "fixed_quantity" | "fixed_notional" | "risk_fraction";
            /**
             * Value
             * @description In the unit of the mode.
             */
            value: number;
        };
        /**
         * SpeedCommand
         * @description Sets the pace.
         * @example {
         *       "speed": 50
         *     }
         */
        SpeedCommand: {
            /**
             * Commandid
             * @description Makes it count once, however often it is sent; one is made where it is left out.
             * @default null
             */
            commandId: string | null;
            /**
             * Speed
             * @description Bars a second, from 0.1, or max.
             * @example 50
             */
            speed: number | "max";
        };
        /**
         * StepCommand
         * @description Goes on by so many bars.
         * @example {
         *       "bars": 10
         *     }
         */
        StepCommand: {
            /**
             * Bars
             * @description For step: how many bars, then paused again.
             * @default 1
             */
            bars: number;
            /**
             * Commandid
             * @description Makes it count once, however often it is sent; one is made where it is left out.
             * @default null
             */
            commandId: string | null;
        };
        /**
         * StopCommand
         * @description Ends a backtest where it is.
         * @example {
         *       "closeOpenTrades": true
         *     }
         */
        StopCommand: {
            /**
             * Closeopentrades
             * @description For stop: whether what is open is closed at the last close.
             * @default true
             */
            closeOpenTrades: boolean;
            /**
             * Closeposition
             * @description Another name of closeOpenTrades; send one of them.
             * @default true
             */
            closePosition: boolean;
            /**
             * Commandid
             * @description Makes it count once, however often it is sent; one is made where it is left out.
             * @default null
             */
            commandId: string | null;
        };
        /**
         * StrategyDescription
         * @description A strategy that can be run.
         */
        StrategyDescription: {
            /**
             * Aliases
             * @description Other names that are taken for its id.
             */
            aliases: string[];
            /**
             * Defaultparameters
             * @description What they are where nothing is said.
             */
            defaultParameters: {
                [key: string]: unknown;
            };
            /**
             * Description
             * @description What it does.
             */
            description: string;
            /**
             * Every
             * @description At every how many bars it decides by default; null for `signals`.
             */
            every: number | null;
            /**
             * Form
             * @description `signals` for all bars at once, or asked bar by bar.
             * @enum {string}
             */
            form: "signals" | "decide";
            /**
             * Id
             * @description What `strategies` names it by.
             * @example sma_crossover
             */
            id: string;
            /** @description Only where parameters are conditions written as text. */
            language?: components["schemas"]["Language"] | null;
            /**
             * Name
             * @description For people.
             * @example SMA crossover
             */
            name: string;
            /**
             * Parametersschema
             * @description JSON Schema of its parameters.
             */
            parametersSchema: {
                [key: string]: unknown;
            };
        };
        /**
         * Streaks
         * @description Most trades in a row, in the order they were closed.
         */
        Streaks: {
            /**
             * Longestlosing
             * @description That each lost.
             */
            longestLosing: number;
            /**
             * Longestwinning
             * @description That each gained.
             */
            longestWinning: number;
        };
        /**
         * Throughput
         * @description How many backtests of all users ended within one minute, by how.
         */
        Throughput: {
            /**
             * Completed
             * @description With a result.
             */
            completed: number;
            /**
             * Failed
             * @description With an error.
             */
            failed: number;
            /**
             * Since
             * Format: date-time
             * @description When the minute began.
             * @example 2026-01-31T12:00:00Z
             */
            since: string;
            /**
             * Stopped
             * @description Where somebody stopped them.
             */
            stopped: number;
        };
        /**
         * TradePage
         * @description A part of a backtest's trades, in the order they were closed.
         */
        TradePage: {
            /**
             * Items
             * @description One object a trade: times, prices, quantity, gain and reasons.
             */
            items: {
                [key: string]: unknown;
            }[];
            /**
             * Limit
             * @description As asked for.
             */
            limit: number;
            /**
             * Offset
             * @description As asked for.
             */
            offset: number;
            /**
             * Total
             * @description How many trades there are.
             */
            total: number;
        };
        /**
         * User
         * @description Somebody of whom something is kept here.
         */
        User: {
            /**
             * Createdat
             * Format: date-time
             * @description When he was added.
             * @example 2026-01-31T12:00:00Z
             */
            createdAt: string;
            /**
             * Disabled
             * @description Whether tokens and keys of this user are refused.
             */
            disabled: boolean;
            /**
             * Haspassword
             * @description False for who cannot log in here.
             */
            hasPassword: boolean;
            /**
             * Name
             * @description The `sub` of his tokens.
             * @example ann
             */
            name: string;
            /**
             * Roles
             * @description What he may do.
             */
            roles: ("user" | "admin")[];
            /**
             * Updatedat
             * Format: date-time
             * @description When something of him changed last.
             * @example 2026-01-31T12:00:00Z
             */
            updatedAt: string;
        };
        /**
         * UserPage
         * @description A part of all users, by name.
         */
        UserPage: {
            /**
             * Items
             * @description At most `limit` of them.
             */
            items: components["schemas"]["User"][];
            /**
             * Nextcursor
             * @description `cursor` of the next page; null at the end.
             */
            nextCursor: string | null;
        };
        /**
         * ValidateRequest
         * @description The body of `POST /api/algo/strategies/validate`.
         * @example {
         *       "params": {
         *         "fast": 20,
         *         "slow": 100
         *       },
         *       "strategy": "sma_crossover"
         *     }
         */
        ValidateRequest: {
            /**
             * Params
             * @description By name; what is left out is as by default.
             * @example {
             *       "fast": 10
             *     }
             */
            params?: {
                [key: string]: components["schemas"]["JsonValue"];
            };
            /**
             * Strategy
             * @description Its id or another name.
             * @example sma
             */
            strategy: string;
        };
        /**
         * Validation
         * @description Whether a strategy and its parameters are right.
         */
        Validation: {
            /**
             * Errors
             * @description What is wrong; empty where nothing is.
             */
            errors: components["schemas"]["WrongParameter"][];
            /**
             * Valid
             * @description Whether a backtest with them would be accepted.
             */
            valid: boolean;
        };
        /**
         * WeekdayGroup
         * @description Trades that were entered on one day of the week (UTC).
         */
        WeekdayGroup: {
            /**
             * Key
             * @description Which.
             * @enum {string}
             */
            key: "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday";
            /**
             * Pnl
             * @description Sum of what they gained after fees, money.
             */
            pnl: number | null;
            /**
             * Trades
             * @description How many.
             */
            trades: number;
        };
        /**
         * Word
         * @description A name that may stand in a condition.
         */
        Word: {
            /**
             * Description
             * @description What it stands for.
             */
            description: string;
            /**
             * Name
             * @description As it is written.
             * @example close
             */
            name: string;
        };
        /**
         * Worker
         * @description One worker process that is there.
         */
        Worker: {
            /**
             * Busy
             * @description How many it runs.
             */
            busy: number;
            /**
             * Draining
             * @description Whether it takes no more and goes when what it runs has ended.
             */
            draining: boolean;
            /**
             * Host
             * @description Name of its machine or container.
             */
            host: string;
            /**
             * Id
             * @description Host, process and a part of its own; never used again.
             * @example box-17-4g2k9x0p
             */
            id: string;
            /**
             * Lastseen
             * Format: date-time
             * @description When it last said that it is there.
             * @example 2026-01-31T12:00:00Z
             */
            lastSeen: string;
            /**
             * Since
             * Format: date-time
             * @description When it began.
             * @example 2026-01-31T12:00:00Z
             */
            since: string;
            /**
             * Slots
             * @description How many backtests it can run at once.
             */
            slots: number;
            /**
             * Version
             * @description Version of backfleet it runs.
             * @example 0.1.0
             */
            version: string;
        };
        /**
         * WrongField
         * @description One thing that is wrong.
         */
        WrongField: {
            /**
             * Code
             * @description Stable machine-readable name.
             */
            code: string;
            /**
             * Field
             * @description Dotted path as the caller wrote it.
             * @example params.fast
             */
            field: string;
            /**
             * Message
             * @description What is wrong with it, and what to write.
             */
            message: string;
        };
        /**
         * WrongParameter
         * @description One thing that is wrong with a parameter, and where in its text, if it is a condition written as text.
         */
        WrongParameter: {
            /**
             * Code
             * @description Stable machine-readable name.
             */
            code: string;
            /**
             * End
             * @description The one after the last that is wrong; as `start` where something is missing.
             */
            end?: number | null;
            /**
             * Field
             * @description Dotted path as the caller wrote it.
             * @example params.fast
             */
            field: string;
            /**
             * Message
             * @description What is wrong with it, and what to write.
             */
            message: string;
            /**
             * Near
             * @description Names that may be meant, the nearest first.
             */
            near?: string[] | null;
            /**
             * Start
             * @description First character that is wrong, counted from 0.
             */
            start?: number | null;
        };
        /**
         * YearReturn
         * @description Of one year (UTC).
         */
        YearReturn: {
            /**
             * Return
             * @description A fraction; null once equity was not above zero.
             */
            return: number | null;
            /**
             * Year
             * @description Which.
             * @example 2024
             */
            year: number;
        };
        /**
         * Run
         * @description One backtest that runs now.
         */
        api__routes__fleet_answers__Run: {
            /**
             * Backtestid
             * @description Which.
             */
            backtestId: string;
            /**
             * Barspersecond
             * @description Its pace since it began; null while it has said none.
             */
            barsPerSecond: number | null;
            /**
             * Interval
             * @description Length of its bars.
             * @example 1d
             */
            interval: string | null;
            /**
             * Priority
             * @description Higher runs earlier.
             */
            priority: number;
            /**
             * Progress
             * @description Percent of its bars.
             * @example 42.5
             */
            progress: number;
            /**
             * Startedat
             * Format: date-time
             * @description When this run of it began.
             * @example 2026-01-31T12:00:00Z
             */
            startedAt: string;
            /**
             * Status
             * @description `running`, or `paused` where it holds its slot.
             * @example running
             */
            status: string;
            /**
             * Symbol
             * @description Of which market.
             * @example AAPL
             */
            symbol: string | null;
            /**
             * Userid
             * @description Whose: one's own, unless an admin asks.
             */
            userId: string;
            /**
             * Workerid
             * @description Where: `id` of a worker.
             */
            workerId: string;
        };
        /**
         * Run
         * @description A backtest that will run.
         */
        api__routes__session_answers__Run: {
            /**
             * Backtest Id
             * @description Names it from now on.
             * @example bt_01m7xy1ymv1kn41cwsxzn6z2tf
             */
            backtest_id: string;
            /**
             * Note
             * @description Only where another symbol was written than there is market data of: which one is used.
             */
            note?: string | null;
            /**
             * Status
             * @description `pending` of a new one.
             * @enum {string}
             */
            status: "pending" | "running" | "paused" | "completed" | "failed" | "stopped";
            /**
             * Symbol
             * @description Whose bars it reads.
             */
            symbol: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    list_agents_api_agents_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Agents"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    add_agent_api_agents_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AgentRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Agent"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_agent_api_agents__agent_id__get: {
        parameters: {
            query?: {
                /** @description Which of its versions. */
                version?: number | null;
            };
            header?: never;
            path: {
                /** @description Which agent. */
                agent_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Agent"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    change_agent_api_agents__agent_id__put: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which agent. */
                agent_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AgentRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Agent"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    delete_agent_api_agents__agent_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which agent. */
                agent_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_backtests_api_algo_backtest_get: {
        parameters: {
            query?: {
                /** @description Most of one page. */
                limit?: number;
                /** @description `nextCursor` of the page before. */
                cursor?: string | null;
                /** @description Only those that stand so. */
                status?: ("pending" | "running" | "paused" | "completed" | "failed" | "stopped") | null;
                /** @description Only those of this symbol. */
                symbol?: string | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BacktestPage"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    submit_api_algo_backtest_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same user and key give the same backtest, however often the request is sent. The answer says how it stands now. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BacktestRequest"];
            };
        };
        responses: {
            /** @description An earlier request with this key was for it, and it has ended. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description It was taken in, now or by an earlier request with this key. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Accepted"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    estimate_api_algo_backtest_estimate_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BacktestRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Estimate"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_backtest_api_algo_backtest__backtest_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Backtest"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    delete_backtest_api_algo_backtest__backtest_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_analysis_api_algo_backtest__backtest_id__analysis_get: {
        parameters: {
            query?: {
                /** @description Most of each curve. */
                maxPoints?: number;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Analysis"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_candles_api_algo_backtest__backtest_id__candles_get: {
        parameters: {
            query?: {
                /** @description First date or instant, inclusive. */
                from?: (string) | null;
                /** @description Last date or instant, exclusive. */
                to?: (string) | null;
                /** @description Most bars. */
                maxPoints?: number;
                /** @description Whether to compute them. */
                indicators?: boolean;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunCandles"];
                };
            };
            /** @description What `If-None-Match` names has not changed. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_decisions_api_algo_backtest__backtest_id__decisions_get: {
        parameters: {
            query?: {
                /** @description `after` of the page before: only later bars. */
                after?: number;
                /** @description Most of one page. */
                limit?: number;
                /** @description Whether to add what was asked and answered, as it was sent. */
                context?: boolean;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DecisionPage"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_equity_api_algo_backtest__backtest_id__equity_get: {
        parameters: {
            query?: {
                /** @description Most of them. */
                maxPoints?: number;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Equity"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    export_api_algo_backtest__backtest_id__export_get: {
        parameters: {
            query?: {
                /** @description What kind of file. */
                format?: "csv" | "parquet" | "json" | "html";
                /** @description Which table, of csv and parquet: `trades` where it is left out. */
                table?: ("trades" | "equity" | "decisions") | null;
                /** @description Whether to add to decisions what was asked and answered, as it was sent. */
                context?: boolean;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/vnd.apache.parquet": string;
                    "text/csv": string;
                    "text/html": string;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_logs_api_algo_backtest__backtest_id__logs_get: {
        parameters: {
            query?: {
                /** @description `after` of the page before: only later lines. */
                after?: number;
                /** @description Most of one page. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LogPage"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    pause_backtest_api_algo_backtest__backtest_id__pause_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["PlainCommand"];
            };
        };
        responses: {
            /** @description It was done, now or when it came first under this id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It is stored and will be done; `done` is false. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It makes no sense as things stand, or the backtest has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_result_api_algo_backtest__backtest_id__result_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Result"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    resume_backtest_api_algo_backtest__backtest_id__resume_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["PlainCommand"];
            };
        };
        responses: {
            /** @description It was done, now or when it came first under this id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It is stored and will be done; `done` is false. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It makes no sense as things stand, or the backtest has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    seek_backtest_api_algo_backtest__backtest_id__seek_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SeekCommand"];
            };
        };
        responses: {
            /** @description It was done, now or when it came first under this id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It is stored and will be done; `done` is false. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It makes no sense as things stand, or the backtest has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    speed_backtest_api_algo_backtest__backtest_id__speed_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SpeedCommand"];
            };
        };
        responses: {
            /** @description It was done, now or when it came first under this id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It is stored and will be done; `done` is false. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It makes no sense as things stand, or the backtest has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    step_backtest_api_algo_backtest__backtest_id__step_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["StepCommand"];
            };
        };
        responses: {
            /** @description It was done, now or when it came first under this id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It is stored and will be done; `done` is false. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It makes no sense as things stand, or the backtest has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    stop_backtest_api_algo_backtest__backtest_id__stop_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["StopCommand"];
            };
        };
        responses: {
            /** @description It was done, now or when it came first under this id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It is stored and will be done; `done` is false. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Controlled"];
                };
            };
            /** @description It makes no sense as things stand, or the backtest has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_trades_api_algo_backtest__backtest_id__trades_get: {
        parameters: {
            query?: {
                /** @description Most of one page. */
                limit?: number;
                /** @description How many to leave out before the first. */
                offset?: number;
                /** @description By which field of a trade. */
                sort?: "index" | "entryBar" | "exitBar" | "entryTime" | "exitTime" | "quantity" | "entryPrice" | "exitPrice" | "fees" | "pnl" | "pnlPercent";
                /** @description The smallest first, or the largest. */
                order?: "asc" | "desc";
                /** @description Only those. */
                side?: ("long" | "short") | null;
                /** @description Only those with a pnl above zero, or below. */
                outcome?: ("win" | "loss") | null;
                /** @description Only those that closed so. */
                exitReason?: ("signal" | "stop_loss" | "take_profit" | "trailing_stop" | "reversal" | "liquidation" | "stopped_by_user" | "end_of_data") | null;
            };
            header?: never;
            path: {
                /** @description Which backtest. */
                backtest_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TradePage"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_data_api_algo_data_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Datasets"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_exchanges_api_algo_data_exchanges_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Exchanges"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    fetch_data_api_algo_data_fetch_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["FetchRequest"];
            };
        };
        responses: {
            /** @description It has begun. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": unknown;
                    "application/x-ndjson": {
                        /**
                         * Fetched
                         * @description How many bars have come, with `until`.
                         */
                        fetched?: number | null;
                        /**
                         * Imported
                         * @description At the end: a report as of an import.
                         */
                        imported?: {
                            [key: string]: unknown;
                        } | null;
                        /**
                         * Problem
                         * @description At the end: why nothing was imported.
                         */
                        problem?: {
                            [key: string]: unknown;
                        } | null;
                        /**
                         * Seconds
                         * @description How much later.
                         */
                        seconds?: number | null;
                        /**
                         * Until
                         * @description Until when there are no more to come.
                         */
                        until?: string | null;
                        /**
                         * Waits
                         * @description Why the exchange is asked again later, with `seconds`.
                         */
                        waits?: string | null;
                    };
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    import_data_api_algo_data_import_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * Allowgaps
                     * @description Also where more than 1 % of the bars are missing, holidays apart.
                     * @default false
                     */
                    allowGaps?: boolean;
                    /**
                     * Anchor
                     * @description When they begin there.
                     * @example 17:00
                     * @example 09:30
                     */
                    anchor?: string;
                    /**
                     * Calendar
                     * @description Of the market's holidays and hours, by which gaps are judged: `exchange_calendars` names them.
                     * @example XNYS
                     */
                    calendar?: string;
                    /**
                     * Columns
                     * @description What each column is, in order (`-` skips one), or where each is, by name or number.
                     * @example time,open,-,close,high,low
                     * @example time=Datum,open=2,high=3,low=4,close=5
                     */
                    columns?: string;
                    /**
                     * Dateorder
                     * @description Of dates such as 03/04/2024.
                     * @enum {string}
                     */
                    dateOrder?: "ymd" | "dmy" | "mdy";
                    /**
                     * Decimal
                     * @description What stands before decimals: 1,234 is 1234 or 1.234.
                     * @enum {string}
                     */
                    decimal?: "point" | "comma";
                    /**
                     * Dropunfinished
                     * @description Leave out a last bar that has not ended yet, instead of refusing it.
                     * @default true
                     */
                    dropUnfinished?: boolean;
                    /** @description Files of bars, each a part with a file name. */
                    file: string[];
                    /**
                     * Interval
                     * @description Where it is not the most common step.
                     * @enum {string}
                     */
                    interval?: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
                    /**
                     * Onconflict
                     * @description What becomes of stored bars with other values.
                     * @default refuse
                     * @enum {string}
                     */
                    onConflict?: "refuse" | "keep" | "replace";
                    /**
                     * Price
                     * @description Adjusted by an adjusted close, or as traded.
                     * @enum {string}
                     */
                    price?: "adjusted" | "traded";
                    /**
                     * Pricescale
                     * @description What prices are divided by: 10000 or 1.
                     */
                    priceScale?: number;
                    /**
                     * Sessionzone
                     * @description Whose clock days of trade keep to.
                     */
                    sessionZone?: string;
                    /**
                     * Side
                     * @description Of bid and ask quotes.
                     * @enum {string}
                     */
                    side?: "bid" | "ask" | "mid";
                    /**
                     * Skiplines
                     * @description Lines at the top that are none of the table.
                     */
                    skipLines?: number;
                    /**
                     * Symbol
                     * @description Letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40.
                     */
                    symbol?: string;
                    /**
                     * Timeunit
                     * @description Of unix times, where their size does not tell.
                     * @enum {string}
                     */
                    timeUnit?: "s" | "ms" | "us" | "ns" | "excel";
                    /**
                     * Timezone
                     * @description Of times that have none.
                     * @example Europe/Berlin
                     */
                    timeZone?: string;
                };
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Imported"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    remove_data_api_algo_data__symbol___interval__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Of which market. */
                symbol: string;
                /** @description Length of the bars. */
                interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_candles_api_algo_data__symbol___interval__candles_get: {
        parameters: {
            query?: {
                /** @description First date or instant, inclusive. */
                from?: (string) | null;
                /** @description Last date or instant, exclusive. */
                to?: (string) | null;
                /** @description Most bars. */
                maxPoints?: number;
            };
            header?: never;
            path: {
                /** @description Of which market. */
                symbol: string;
                /** @description Length of the bars. */
                interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CandleColumns"];
                };
            };
            /** @description What `If-None-Match` names has not changed. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_gaps_api_algo_data__symbol___interval__gaps_get: {
        parameters: {
            query?: {
                /** @description Most gaps; of more, the largest. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description Of which market. */
                symbol: string;
                /** @description Length of the bars. */
                interval: "1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SeriesGaps"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_fleet_api_algo_fleet_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The fleet as it is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FleetView"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_strategies_api_algo_strategies_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StrategyDescription"][];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    validate_strategy_api_algo_strategies_validate_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ValidateRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Validation"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    login_api_auth_login_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["LoginRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LoggedIn"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    logout_api_auth_logout_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefreshRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    refresh_api_auth_refresh_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefreshRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LoggedIn"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_sessions_api_backtest_get: {
        parameters: {
            query?: {
                /** @description Most of one page. */
                limit?: number;
                /** @description `nextCursor` of the page before. */
                cursor?: string | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionPage"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    create_session_api_backtest_create_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateSession"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionCreated"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_session_api_backtest__session_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which session. */
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    delete_session_api_backtest__session_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which session. */
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    pause_session_api_backtest__session_id__pause_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which session. */
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["PlainCommand"];
            };
        };
        responses: {
            /** @description It was done. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It is stored and will be done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It makes no sense as things stand, or the session has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    resume_session_api_backtest__session_id__resume_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which session. */
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["PlainCommand"];
            };
        };
        responses: {
            /** @description It was done. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It is stored and will be done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It makes no sense as things stand, or the session has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    start_session_api_backtest__session_id__start_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which session. */
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["PlainCommand"];
            };
        };
        responses: {
            /** @description It was done. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It is stored and will be done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It makes no sense as things stand, or the session has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    stop_session_api_backtest__session_id__stop_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Which session. */
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["StopCommand"];
            };
        };
        responses: {
            /** @description It was done. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It is stored and will be done. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acted"];
                };
            };
            /** @description It makes no sense as things stand, or the session has ended: why is said. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_keys_api_llm_keys_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProviderKeys"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_key_api_llm_keys__provider__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose models the key is for. */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProviderKey"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    put_key_api_llm_keys__provider__put: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose models the key is for. */
                provider: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ProviderKeyRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProviderKey"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    delete_key_api_llm_keys__provider__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose models the key is for. */
                provider: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_users_api_users_get: {
        parameters: {
            query?: {
                /** @description Most of one page. */
                limit?: number;
                /** @description `nextCursor` of the page before. */
                cursor?: string | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserPage"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    add_user_api_users_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddUserRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_me_api_users_me_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Me"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_keys_api_users_me_keys_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Keys"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    add_key_api_users_me_keys_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["KeyRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewKey"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    delete_key_api_users_me_keys__key_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `keyId` of the key. */
                key_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    change_password_api_users_me_password_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangePasswordRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    get_user_api_users__name__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    disable_user_api_users__name__disable_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    enable_user_api_users__name__enable_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    list_keys_of_api_users__name__keys_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Keys"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    delete_key_of_api_users__name__keys__key_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
                /** @description `keyId` of the key. */
                key_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    set_password_api_users__name__password_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SetPasswordRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    set_roles_api_users__name__roles_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Whose. */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RolesRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    run_api_v1_backtest_run_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RunRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["api__routes__session_answers__Run"];
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    healthz_healthz_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It does. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    metrics_metrics_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Counters, gauges and histograms. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": unknown;
                    /** @example backfleet_up{part="mongodb"} 1.0 */
                    "text/plain": string;
                };
            };
            /** @description What to mend, field by field. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
    readyz_readyz_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description They can. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description Not your fault; try again. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                    "application/problem+json": unknown;
                };
            };
        };
    };
}
