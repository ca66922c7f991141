package sipua

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// UnmarshalJSON reads an object of JsSIP's parameters into c and leaves fields
// that it does not name as they are. Beside the plain form,
//
//   - ws_servers is a string, a list of strings, a list of objects {ws_uri,
//     weight, headers, origin} (uri is taken for ws_uri), or a mixture;
//   - stun_servers is a string or a list of strings;
//   - turn_servers is an object {urls, username, credential} or a list of them,
//     with urls a string or a list of strings;
//   - times are numbers of seconds, whole ones in register_expires,
//     no_answer_timeout, session_expires and min_se;
//   - null means the default, as a missing parameter does.
//
// Unknown parameters and values of the wrong form are [*ConfigError] values,
// joined; c is unchanged then. Whether the values make sense is for [NewUA].
func (c *Config) UnmarshalJSON(data []byte) error {
	var params map[string]json.RawMessage
	if err := json.Unmarshal(data, &params); err != nil {
		return &ConfigError{Reason: "a configuration is a JSON object"}
	}
	var p problems
	next := c.Clone()
	for key, field := range next.params() {
		raw, ok := params[key]
		if !ok {
			continue
		}
		delete(params, key)
		if err := readParam(field, raw); err != nil {
			p.add(key, "", err.Error())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		p.add(key, "", unknownParam(key))
	}
	if p != nil {
		return errors.Join(p...)
	}
	*c = next
	return nil
}

func unknownParam(key string) string {
	if key == "sockets" {
		return "holds objects of a JsSIP program, which JSON has not: give their URLs in ws_servers"
	}
	return "is not a parameter"
}

// MarshalJSON writes the parameters that are set, in the form that UnmarshalJSON
// reads. Password, HA1, AuthorizationJWT, the credentials of TURN servers and the
// header fields of WebSocket servers are left out, and so is what JSON cannot
// hold: funcs, TLS configurations, Handler, Media, Logger. A NoAnswerTimeout,
// RegisterExpires, SessionExpires or MinSE that is not of whole seconds is a
// [*ConfigError].
func (c Config) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for key, field := range c.params() {
		if field.value.IsZero() || field.secret() {
			continue
		}
		text, err := field.appendJSON()
		if err != nil {
			return nil, &ConfigError{Field: key, Reason: err.Error()}
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", key, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// param is one field of a Config that has a JSON key.
type param struct {
	value reflect.Value // addressable
	tag   reflect.StructTag
}

// secret reports a field that is never shown.
func (p param) secret() bool { return p.tag.Get("secret") == "true" }

// wholeSeconds reports what the specification calls an Integer of seconds.
func (p param) wholeSeconds() bool { return p.tag.Get("seconds") == "integer" }

// mayBeZero reports a time of which 0 means none.
func (p param) mayBeZero() bool {
	key := p.tag.Get("json")
	return key == "keep_alive_interval" || key == "options_interval"
}

// params yields the fields that have a JSON key, in their order.
func (c *Config) params() func(yield func(key string, p param) bool) {
	return func(yield func(string, param) bool) {
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag
			if key := tag.Get("json"); key != "-" && !yield(key, param{v.Field(i), tag}) {
				return
			}
		}
	}
}

// readParam sets p to what raw says. The error says what form raw should have;
// it never quotes raw, which may be a secret.
func readParam(p param, raw json.RawMessage) error {
	if isNull(raw) {
		p.value.SetZero()
		return nil
	}
	var err error
	switch dst := p.value.Addr().Interface().(type) {
	case *string:
		*dst, err = readString(raw)
	case *sip.Method:
		var s string
		s, err = readString(raw)
		*dst = sip.Method(strings.ToUpper(s))
	case *session.MediaRecovery:
		var s string
		if s, err = readString(raw); err == nil && dst.UnmarshalText([]byte(s)) != nil {
			err = errors.New("must be restart, keep or end")
		}
	case *session.Reliability:
		var s string
		if s, err = readString(raw); err == nil && dst.UnmarshalText([]byte(s)) != nil {
			err = errors.New("must be supported, required or off")
		}
	case *bool:
		*dst, err = readBool(raw)
	case **bool:
		var b bool
		b, err = readBool(raw)
		*dst = &b
	case *int:
		*dst, err = readInt(raw)
		if err == nil && *dst == 0 {
			err = errors.New("must be greater than 0")
		}
	case *time.Duration:
		*dst, err = readSeconds(raw, p.wholeSeconds())
		if err == nil && *dst == 0 && !p.mayBeZero() {
			err = errors.New("must be greater than 0")
		}
	case *[]string:
		*dst, err = readStrings(raw)
	case *map[string]string:
		*dst, err = readMap(raw)
	case *[]sip.Field:
		*dst, err = readFields(raw)
	case *[]WSServer:
		*dst, err = readList(raw, readWSServer)
	case *[]TURNServer:
		*dst, err = readList(raw, readTURNServer)
	default:
		err = fmt.Errorf("has a type without a JSON form, %T", dst)
	}
	return err
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

func readString(raw json.RawMessage) (s string, err error) {
	if isNull(raw) || json.Unmarshal(raw, &s) != nil {
		return "", errors.New("must be a string")
	}
	return s, nil
}

func readBool(raw json.RawMessage) (b bool, err error) {
	if json.Unmarshal(raw, &b) != nil {
		return false, errors.New("must be true or false")
	}
	return b, nil
}

func readInt(raw json.RawMessage) (n int, err error) {
	if isNull(raw) || json.Unmarshal(raw, &n) != nil {
		return 0, errors.New("must be a whole number")
	}
	return n, nil
}

func readSeconds(raw json.RawMessage, whole bool) (time.Duration, error) {
	var f float64
	if json.Unmarshal(raw, &f) != nil {
		return 0, errors.New("must be a number of seconds")
	}
	sec, frac := math.Modf(f)
	if whole && frac != 0 {
		return 0, errors.New("must be a whole number of seconds")
	}
	const most = math.MaxInt64/int64(time.Second) - 1
	if math.Abs(sec) > float64(most) {
		return 0, fmt.Errorf("must be at most %d seconds", most)
	}
	// Apart, so that large numbers do not lose the digits of small ones.
	d := time.Duration(sec)*time.Second + time.Duration(math.Round(frac*1e9))
	if d == 0 && f != 0 {
		return 0, errors.New("must be at least a nanosecond")
	}
	return d, nil
}

func readStrings(raw json.RawMessage) ([]string, error) {
	list, err := readList(raw, readString)
	if err != nil {
		return nil, errors.New("must be a string or a list of strings")
	}
	if list == nil {
		list = []string{} // "none", where a missing list is the default
	}
	return list, nil
}

// readList reads a list, or one thing that stands for a list of one. An empty
// list is nil.
func readList[T any](raw json.RawMessage, read func(json.RawMessage) (T, error)) ([]T, error) {
	elements := []json.RawMessage{raw}
	list := raw[0] == '['
	if list {
		_ = json.Unmarshal(raw, &elements) // cannot fail: raw is JSON, and a list
	}
	var all []T
	for i, e := range elements {
		v, err := read(e)
		if err != nil {
			if list {
				err = fmt.Errorf("(entry %d): %w", i+1, err)
			}
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func readMap(raw json.RawMessage) (map[string]string, error) {
	var object map[string]json.RawMessage
	m := map[string]string{}
	err := json.Unmarshal(raw, &object)
	for name, value := range object {
		if err == nil && !isNull(value) {
			m[name], err = readString(value)
		} else if err == nil {
			m[name] = "" // JsSIP's way to a parameter without value
		}
	}
	if err != nil {
		return nil, errors.New("must be an object of strings")
	}
	if len(m) == 0 {
		return nil, nil
	}
	return m, nil
}

func readFields(raw json.RawMessage) ([]sip.Field, error) {
	return readList(raw, func(raw json.RawMessage) (sip.Field, error) {
		s, err := readString(raw)
		name, value, ok := strings.Cut(s, ":")
		if err != nil || !ok {
			return sip.Field{}, errors.New(`must be a string "Name: value"`)
		}
		return sip.Field{Name: strings.TrimRight(name, " \t"), Value: strings.Trim(value, " \t")}, nil
	})
}

func readWSServer(raw json.RawMessage) (s WSServer, err error) {
	if raw[0] == '"' {
		s.URL, err = readString(raw)
		return s, err
	}
	form := errors.New("must be a string or an object {ws_uri, weight}")
	err = readObject(raw, form, map[string]func(json.RawMessage) error{
		"ws_uri": func(raw json.RawMessage) (err error) { s.URL, err = readString(raw); return err },
		"uri": func(raw json.RawMessage) (err error) {
			if s.URL != "" {
				return errors.New("means the same as ws_uri: give one")
			}
			s.URL, err = readString(raw)
			return err
		},
		"weight": func(raw json.RawMessage) (err error) { s.Weight, err = readInt(raw); return err },
		"origin": func(raw json.RawMessage) (err error) { s.Origin, err = readString(raw); return err },
		"headers": func(raw json.RawMessage) error {
			m, err := readMap(raw)
			if len(m) > 0 {
				s.Header = http.Header{}
			}
			for _, name := range slices.Sorted(maps.Keys(m)) {
				s.Header.Add(name, m[name])
			}
			return err
		},
	})
	if err == nil && s.URL == "" {
		err = form
	}
	return s, err
}

func readTURNServer(raw json.RawMessage) (s TURNServer, err error) {
	form := errors.New("must be an object {urls, username, credential}")
	err = readObject(raw, form, map[string]func(json.RawMessage) error{
		"urls":       func(raw json.RawMessage) (err error) { s.URLs, err = readStrings(raw); return err },
		"username":   func(raw json.RawMessage) (err error) { s.Username, err = readString(raw); return err },
		"credential": func(raw json.RawMessage) (err error) { s.Credential, err = readString(raw); return err },
	})
	return s, err
}

// readObject gives each member of an object to its reader, ws_uri before uri.
func readObject(raw json.RawMessage, form error, members map[string]func(json.RawMessage) error) error {
	var object map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
		return form
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(object))) {
		read, ok := members[name]
		if !ok {
			return fmt.Errorf("has an unknown member %q", name)
		}
		if err := read(object[name]); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	return nil
}

// appendJSON is the value as MarshalJSON writes it.
func (p param) appendJSON() ([]byte, error) {
	switch v := p.value.Interface().(type) {
	case time.Duration:
		if p.wholeSeconds() && v%time.Second != 0 {
			return nil, fmt.Errorf("is %v: JSON holds whole seconds here", v)
		}
		return json.Marshal(v.Seconds())
	case []sip.Field:
		lines := make([]string, len(v))
		for i, f := range v {
			lines[i] = f.Name + ": " + f.Value
		}
		return json.Marshal(lines)
	case []WSServer:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = jsonWSServer{s.URL, s.Weight, s.Origin}
		}
		return json.Marshal(list)
	case []TURNServer:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = jsonTURNServer{s.URLs, s.Username}
		}
		return json.Marshal(list)
	default:
		return json.Marshal(v)
	}
}

type jsonWSServer struct {
	URI    string `json:"ws_uri"`
	Weight int    `json:"weight,omitempty"`
	Origin string `json:"origin,omitempty"`
}

type jsonTURNServer struct {
	URLs     []string `json:"urls"`
	Username string   `json:"username"`
}
